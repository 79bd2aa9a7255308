-- 6. the messages, put together, and what kind of step it is
WITH
    arrayMap(
        (x, before, message, message_before, message_after, part, part_before, part_after) -> (
            x.1 >= 1152921504606846976,
            concat(
                multiIf(message != message_before, if(bitShiftRight(message, 24) = bitShiftRight(message_before, 24), ',{', '{'), part != part_before OR x.4 = 1, ',', ''),
                if(x.4 > 1 AND (message != message_before OR before.4 = 1), '"parts":[', ''),
                multiIf(x.4 = 1 OR part = part_before, '', x.4 = 4, '{"type":"tool_call",', x.2 = 'tool_call_id', '{"type":"tool_call_response",', x.2 = 'url', '{"type":"uri",', '{"type":"text",'),
                if(x.4 > 1 AND part = part_before, ',', ''),
                multiIf(
                    x.4 = 1, concat('"', x.2, '":'),
                    x.2 = 'content' AND part = part_before, '"response":',
                    x.2 = 'tool_call_id', '"id":',
                    x.2 = 'text', '"content":',
                    x.2 = 'url', '"uri":',
                    concat('"', x.2, '":')
                ),
                if(x.2 = 'arguments' AND isValidJSON(x.3), x.3, toJSONString(x.3)),
                if(x.4 > 1 AND part != part_after, '}', ''),
                multiIf(message = message_after, '', x.4 = 1, ',"parts":[]}', ']}')
            )
        ),
        pieces, arrayShiftRight(pieces, 1),
        messages, arrayShiftRight(messages, 1, 18446744073709551615), arrayShiftLeft(messages, 1, 18446744073709551615),
        parts, arrayShiftRight(parts, 1, 18446744073709551615), arrayShiftLeft(parts, 1, 18446744073709551615)
    ) AS texts,
    arrayMap(
        (e, content) -> (
            e.1 = 'gen_ai.choice',
            concat(
                '{"role":"', if(e.1 = 'gen_ai.choice', 'assistant', splitByChar('.', e.1)[2]), '","parts":[',
                if(
                    startsWith(content, '[{'),
                    arrayStringConcat(arrayMap(
                        part -> multiIf(
                            JSONHas(part, 'text'), concat('{"type":"text","content":', JSONExtractRaw(part, 'text'), '}'),
                            JSONHas(part, 'toolUse'), concat(
                                '{"type":"tool_call","id":', JSONExtractRaw(part, 'toolUse', 'toolUseId'), ',"name":', JSONExtractRaw(part, 'toolUse', 'name'),
                                ',"arguments":', JSONExtractRaw(part, 'toolUse', 'input'), '}'
                            ),
                            JSONHas(part, 'toolResult'), concat(
                                '{"type":"tool_call_response","id":', JSONExtractRaw(part, 'toolResult', 'toolUseId'),
                                ',"response":', JSONExtractRaw(part, 'toolResult', 'content'), '}'
                            ),
                            part
                        ),
                        JSONExtractArrayRaw(content)
                    ), ','),
                    concat('{"type":"text","content":', toJSONString(content), '}')
                ),
                ']}'
            )
        ),
        spoken, contents
    ) AS turns
SELECT
    *,
    arrayMap(x -> x.2, arrayFilter(x -> NOT x.1, texts)) AS texts_in,
    arrayMap(x -> x.2, arrayFilter(x -> x.1, texts)) AS texts_out,
    if(empty(texts_in), '', concat('[', arrayStringConcat(texts_in), ']')) AS flat_in,
    if(empty(texts_out), '', concat('[', arrayStringConcat(texts_out), ']')) AS flat_out,
    arrayMap(x -> x.2, arrayFilter(x -> NOT x.1, turns)) AS spoken_in,
    arrayMap(x -> x.2, arrayFilter(x -> x.1, turns)) AS spoken_out,
    if(empty(spoken_in), '', concat('[', arrayStringConcat(spoken_in, ','), ']')) AS turns_in,
    if(empty(spoken_out), '', concat('[', arrayStringConcat(spoken_out, ','), ']')) AS turns_out,
    arrayFirst((content, e) -> e.1 = 'gen_ai.tool.message', contents, spoken) AS tool_message,
    arrayFirst((content, e) -> e.1 = 'gen_ai.choice', contents, spoken) AS choice,
    event_attributes[indexOf(event_names, 'tool.output')]['output'] AS tool_output_event,
    attributes['logfire.span_type'] = 'pending_span' AS is_announcement,
    multiIf(
        attributes['tacho.layer'] != '', if(attributes['tacho.layer'] IN (
            'run', 'agent', 'step', 'normalize', 'context', 'model', 'tool', 'retrieval', 'memory', 'gate', 'validation',
            'repair', 'breaker', 'retry', 'fallback', 'approval', 'checkpoint', 'budget', 'stop', 'handoff', 'eval'
        ), attributes['tacho.layer'], 'other'),
        attributes['logfire.span_type'] = 'log' AND kind_said != 'model', 'other',
        kind_said = 'model' AND endsWith(name, '_prepare_chat_with_tools'), 'step',
        kind_said = 'tool' AND startsWith(name, 'handoff to '), 'handoff',
        kind_said = 'approval' AND attributes['source'] IN ('config', 'hook'), 'gate',
        kind_said != '', transform(kind_said, ['embedding', 'workflow'], ['model', 'agent'], kind_said),
        startsWith(scope, 'haystack'), transform(name, ['haystack.agent.step.tool', 'haystack.agent.step.llm', 'haystack.agent.run', 'haystack.pipeline.run'], ['tool', 'model', 'agent', 'agent'], if(attributes['haystack.component.type'] != '', 'step', 'other')),
        startsWith(scope, 'openlit') AND match(name, '^(chat|text_completion|generate_content) '), 'model',
        -- the attributes that said it were dropped by the client: its oldest go first
        dropped_attributes > 0 AND (is_flat OR ${said:input_tokens} != ''), 'model',
        'other'
    ) AS layer,
    ${said:error_type} AS error_said,
    status_code = 2 OR error_said != '' OR (exception_at > 0 AND status_code = 0)
        OR attributes['langfuse.observation.level'] = 'ERROR' OR attributes['haystack.tool.error'] = 'true' OR attributes['gen_ai.tool.status'] = 'error'
        OR (family = 'claude_code/' AND attributes['success'] = 'false')
        -- LangChain's handled tool errors end with status OK
        OR (kind_said = 'tool' AND position(${said:output}, '"status"') > 0
            AND (JSONExtractString(${said:output}, 'data', 'status') = 'error' OR JSONExtractString(${said:output}, 'output', 'status') = 'error')) AS failed,
    splitByChar('.', provider_said)[1] AS provider_word
FROM
(
${pieces}
)
