-- 5b. messages as span events, from Strands and clients of conventions before 1.37, become the convention's message JSON
WITH
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
    ) AS turns,
    arrayFilter(e -> ${is_spoken:e.1}, arrayZip(event_names, event_attributes)) AS spoken,
    arrayMap(e -> coalesce(nullIf(e.2['content'], ''), e.2['message']), spoken) AS contents,
    arrayMap(x -> x.2, arrayFilter(x -> NOT x.1, turns)) AS spoken_in,
    arrayMap(x -> x.2, arrayFilter(x -> x.1, turns)) AS spoken_out
SELECT
    *,
    if(empty(spoken_in), '', concat('[', arrayStringConcat(spoken_in, ','), ']')) AS turns_in,
    if(empty(spoken_out), '', concat('[', arrayStringConcat(spoken_out, ','), ']')) AS turns_out,
    arrayFirst((content, e) -> e.1 = 'gen_ai.tool.message', contents, spoken) AS tool_message,
    arrayFirst((content, e) -> e.1 = 'gen_ai.choice', contents, spoken) AS choice
FROM
(
${flat_messages_or_not}
)
