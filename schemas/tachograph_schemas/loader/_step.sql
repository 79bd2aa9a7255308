-- 6. what kind of step it is, and whether it failed
SELECT
    *,
    ${first:span_type} = 'pending_span' AS is_announcement,
    multiIf(
        ${first:layer} != '', if(${first:layer} IN (
            'run', 'agent', 'step', 'normalize', 'context', 'model', 'tool', 'retrieval', 'memory', 'gate', 'validation',
            'repair', 'breaker', 'retry', 'fallback', 'approval', 'checkpoint', 'budget', 'stop', 'handoff', 'eval'
        ), ${first:layer}, 'other'),
        ${first:span_type} = 'log' AND kind_said != 'model', 'other',
        kind_said = 'model' AND endsWith(name, '_prepare_chat_with_tools'), 'step',
        kind_said = 'tool' AND startsWith(name, 'handoff to '), 'handoff',
        kind_said = 'approval' AND ${first:decided_by} IN ('config', 'hook'), 'gate',
        kind_said != '', transform(kind_said, ['embedding', 'workflow'], ['model', 'agent'], kind_said),
        startsWith(scope, 'haystack'), transform(name, ['haystack.agent.step.tool', 'haystack.agent.step.llm', 'haystack.agent.run', 'haystack.pipeline.run'], ['tool', 'model', 'agent', 'agent'], if(${first:component} != '', 'step', 'other')),
        startsWith(scope, 'openlit') AND match(name, '^(chat|text_completion|generate_content) '), 'model',
        -- the attributes that said it were dropped by the client: its oldest go first
        dropped_attributes > 0 AND (is_flat OR ${first:input_tokens} != ''), 'model',
        'other'
    ) AS layer,
    status_code = 2 OR ${first:error_type} != '' OR (${exception:at} > 0 AND status_code = 0)
        OR ${first:level} = 'ERROR' OR ${first:tool_status} IN ('true', 'error') OR ${first:success} = 'false'
        -- LangChain's handled tool errors end with status OK
        OR (kind_said = 'tool' AND position(${first:output}, '"status"') > 0
            AND (JSONExtractString(${first:output}, 'data', 'status') = 'error' OR JSONExtractString(${first:output}, 'output', 'status') = 'error')) AS failed
FROM
(
${spoken?turns:flat_messages_or_not}
)
