-- One batch of envelopes (otlp_trace.proto) becomes one insert. The engine decodes the protobuf and maps
-- the conventions; nothing runs per span in Python.
--
-- Parameters: writer_id, batch. ${source} is file(...) for the embedded engine and input(...) for a server.
-- Order of sources = precedence; docs/conventions.md says where each comes from.
INSERT INTO span_rows (
    writer_id, batch, log_offset, received_at, version, project, run_id, trace_id, span_id, parent_span_id, trace_state,
    start_time, end_time, duration_ns, name, kind, layer, is_infrastructure, status, status_message, verdict, error_type,
    service, service_version, scope, scope_version, agent, session_id, user_id, customer,
    provider, model, response_id, finish_reason, tool, tool_call_id, input, output,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_5m_tokens, cache_write_1h_tokens, reasoning_tokens,
    cost_usd, cost_status, price_id,
    attributes, resource, events.time, events.name, events.attributes, links.trace_id, links.span_id, links.attributes, dropped_attributes
)
WITH
    ${pricing}
SELECT
    {writer_id:UInt64}, {batch:UInt64}, log_offset, fromUnixTimestamp64Nano(toInt64(received_ns), 'UTC'),
    received_ns + if(end_ns > 0 AND NOT is_open, 9223372036854775808, 0),
    project, run_id, trace_id, span_id, parent_span_id, trace_state,
    fromUnixTimestamp64Nano(toInt64(start_ns), 'UTC'),
    if(end_ns > 0 AND NOT is_open, fromUnixTimestamp64Nano(toInt64(end_ns), 'UTC'), NULL),
    if(end_ns > start_ns, end_ns - start_ns, 0),
    name, kind, layer, layer = 'other' AND is_transport, status, status_message, verdict,
    if(error_name = '' AND status = 'error', '_OTHER', error_name),
    service, service_version, scope, scope_version, agent, session_id, user_id, customer,
    span.provider, span.model, response_id, finish_reason, tool, tool_call_id, input, output,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_5m_tokens, cache_write_1h_tokens, reasoning_tokens,
    if(cost_state = 'priced', priced_usd, NULL), cost_state, if(cost_state = 'priced', price.price_id, ''),
    attributes, resource, event_times, event_names, event_attributes, link_trace_ids, link_span_ids, link_attributes, dropped_attributes
FROM
(
    WITH
        -- 5. tokens: classes made disjoint. The convention's input includes the cache; a source whose cache is larger
        -- than its input counted the other way.
        layer = 'model' AS counts,
        toUInt64OrNull(coalesce(
            nullIf(attributes['gen_ai.usage.input_tokens'], ''), nullIf(attributes['llm.token_count.prompt'], ''),
            nullIf(attributes['ai.usage.inputTokens'], ''), nullIf(attributes['gen_ai.usage.prompt_tokens'], ''),
            nullIf(attributes['ai.usage.promptTokens'], ''))) AS input_said,
        toUInt64OrNull(coalesce(
            nullIf(attributes['gen_ai.usage.output_tokens'], ''), nullIf(attributes['llm.token_count.completion'], ''),
            nullIf(attributes['ai.usage.outputTokens'], ''), nullIf(attributes['gen_ai.usage.completion_tokens'], ''),
            nullIf(attributes['ai.usage.completionTokens'], ''))) AS output_said,
        toUInt64OrNull(coalesce(
            nullIf(attributes['gen_ai.usage.cache_read.input_tokens'], ''), nullIf(attributes['llm.token_count.prompt_details.cache_read'], ''),
            nullIf(attributes['gen_ai.usage.cache_read_input_tokens'], ''), nullIf(attributes['ai.usage.cachedInputTokens'], ''),
            nullIf(attributes['gen_ai.usage.details.cache_read_tokens'], ''))) AS read_said,
        toUInt64OrNull(coalesce(
            nullIf(attributes['gen_ai.usage.cache_write.input_tokens'], ''), nullIf(attributes['gen_ai.usage.cache_creation.input_tokens'], ''),
            nullIf(attributes['llm.token_count.prompt_details.cache_write'], ''), nullIf(attributes['gen_ai.usage.cache_creation_input_tokens'], ''),
            nullIf(attributes['gen_ai.usage.cache_write_input_tokens'], ''), nullIf(attributes['gen_ai.usage.details.cache_write_tokens'], ''))) AS write_said,
        toUInt64OrNull(coalesce(
            nullIf(attributes['gen_ai.usage.reasoning.output_tokens'], ''), nullIf(attributes['llm.token_count.completion_details.reasoning'], ''),
            nullIf(attributes['gen_ai.usage.reasoning_tokens'], ''), nullIf(attributes['ai.usage.reasoningTokens'], ''),
            nullIf(attributes['gen_ai.usage.details.reasoning_tokens'], ''))) AS reasoning_said,
        toUInt64OrNull(attributes['anthropic.usage.cache_creation.ephemeral_1h_input_tokens']) AS write_1h_said,
        ifNull(read_said, 0) + ifNull(write_said, 0) AS cached
    SELECT
        *,
        if(counts, if(cached > input_said, input_said, input_said - cached), NULL) AS input_tokens,
        if(counts, output_said, NULL) AS output_tokens,
        if(counts, read_said, NULL) AS cache_read_tokens,
        if(counts, write_said, NULL) AS cache_write_tokens,
        if(counts, least(ifNull(write_1h_said, 0), write_said), NULL) AS cache_write_1h_tokens,
        if(counts, write_said - least(ifNull(write_1h_said, 0), write_said), NULL) AS cache_write_5m_tokens,
        if(counts, reasoning_said, NULL) AS reasoning_tokens
    FROM
    (
        WITH
            -- 4. what kind of step it is decides which attributes are its input, output, tool and model
            indexOf(event_names, 'exception') AS exception_at,
            attributes['gen_ai.operation.name'] AS operation,
            trim(BOTH '"' FROM attributes['mlflow.spanType']) AS mlflow_kind,
            multiIf(
                attributes['tacho.layer'] != '', if(attributes['tacho.layer'] IN (
                    'run', 'agent', 'step', 'normalize', 'context', 'model', 'tool', 'retrieval', 'memory', 'gate', 'validation',
                    'repair', 'breaker', 'retry', 'fallback', 'approval', 'checkpoint', 'budget', 'stop', 'handoff', 'eval'
                ), attributes['tacho.layer'], 'other'),
                attributes['langfuse.observation.type'] NOT IN ('', 'span'), transform(attributes['langfuse.observation.type'],
                    ['generation', 'embedding', 'agent', 'tool', 'chain', 'retriever', 'evaluator', 'guardrail'],
                    ['model', 'model', 'agent', 'tool', 'step', 'retrieval', 'eval', 'gate'], 'other'),
                attributes['openinference.span.kind'] NOT IN ('', 'UNKNOWN'), if(startsWith(name, 'handoff to '), 'handoff', transform(attributes['openinference.span.kind'],
                    ['LLM', 'EMBEDDING', 'CHAIN', 'RETRIEVER', 'RERANKER', 'TOOL', 'AGENT', 'GUARDRAIL', 'EVALUATOR', 'PROMPT'],
                    ['model', 'model', 'step', 'retrieval', 'retrieval', 'tool', 'agent', 'gate', 'eval', 'step'], 'other')),
                mlflow_kind NOT IN ('', 'UNKNOWN'), transform(mlflow_kind,
                    ['LLM', 'CHAT_MODEL', 'EMBEDDING', 'TOOL', 'AGENT', 'CHAIN', 'RETRIEVER', 'RERANKER', 'PARSER', 'MEMORY', 'WORKFLOW', 'TASK', 'GUARDRAIL', 'EVALUATOR'],
                    ['model', 'model', 'model', 'tool', 'agent', 'step', 'retrieval', 'retrieval', 'step', 'memory', 'agent', 'step', 'gate', 'eval'], 'other'),
                attributes['mcp.method.name'] != '', if(attributes['mcp.method.name'] = 'tools/call', 'tool', 'other'),
                operation != '', transform(operation,
                    ['chat', 'generate_content', 'text_completion', 'completion', 'embeddings', 'embedding', 'retrieval', 'rerank', 'execute_tool',
                     'invoke_agent', 'create_agent', 'invoke_workflow', 'plan', 'handoff', 'guardrail', 'agent_step', 'execute_event_loop_cycle', 'chain',
                     'search_memory', 'create_memory', 'update_memory', 'upsert_memory', 'delete_memory'],
                    ['model', 'model', 'model', 'model', 'model', 'model', 'retrieval', 'retrieval', 'tool',
                     'agent', 'agent', 'agent', 'step', 'handoff', 'gate', 'step', 'step', 'step',
                     'memory', 'memory', 'memory', 'memory', 'memory'], 'other'),
                attributes['ai.operationId'] != '', transform(attributes['ai.operationId'],
                    ['ai.generateText.doGenerate', 'ai.streamText.doStream', 'ai.generateObject.doGenerate', 'ai.streamObject.doStream', 'ai.embed.doEmbed',
                     'ai.embedMany.doEmbed', 'ai.toolCall', 'ai.generateText', 'ai.streamText', 'ai.generateObject', 'ai.streamObject'],
                    ['model', 'model', 'model', 'model', 'model', 'model', 'tool', 'agent', 'agent', 'agent', 'agent'], 'step'),
                attributes['traceloop.span.kind'] NOT IN ('', 'unknown'), transform(attributes['traceloop.span.kind'],
                    ['workflow', 'task', 'agent', 'tool', 'handoff'], ['agent', 'step', 'agent', 'tool', 'handoff'], 'other'),
                attributes['langsmith.span.kind'] != '', transform(attributes['langsmith.span.kind'],
                    ['llm', 'chain', 'tool', 'retriever', 'embedding', 'prompt', 'parser'],
                    ['model', 'step', 'tool', 'retrieval', 'model', 'step', 'step'], 'other'),
                attributes['llm.request.type'] IN ('chat', 'completion', 'embedding'), 'model',
                'other'
            ) AS step_layer
        SELECT
            log_offset, received_ns, project, trace_id, span_id, parent_span_id, trace_state, start_ns, end_ns, name, kind, status,
            service, service_version, scope, scope_version, resource, attributes, dropped_attributes,
            event_times, event_names, event_attributes, link_trace_ids, link_span_ids, link_attributes,
            step_layer AS layer,
            attributes['tacho.open'] = 'true' AS is_open,
            attributes['http.request.method'] != '' OR attributes['http.method'] != '' OR attributes['db.system'] != '' OR attributes['db.system.name'] != ''
                OR attributes['rpc.system'] != '' OR attributes['messaging.system'] != '' AS is_transport,
            coalesce(nullIf(attributes['tacho.run.id'], ''), trace_id) AS run_id,
            coalesce(nullIf(said_message, ''), event_attributes[exception_at]['exception.message']) AS status_message,
            coalesce(nullIf(attributes['tacho.gate.verdict'], ''), nullIf(attributes['tacho.validation.verdict'], ''), nullIf(attributes['tacho.repair.outcome'], ''),
                nullIf(attributes['tacho.approval.decision'], ''), nullIf(attributes['tacho.budget.action'], ''), '') AS verdict,
            coalesce(nullIf(attributes['error.type'], ''), event_attributes[exception_at]['exception.type']) AS error_name,
            coalesce(nullIf(attributes['gen_ai.agent.name'], ''), nullIf(attributes['agent.name'], ''), nullIf(attributes['graph.node.name'], ''),
                if(attributes['traceloop.span.kind'] = 'agent', nullIf(attributes['traceloop.entity.name'], ''), NULL),
                nullIf(attributes['lc_agent_name'], ''), nullIf(attributes['ai.telemetry.functionId'], ''), '') AS agent,
            coalesce(nullIf(attributes['langfuse.session.id'], ''), nullIf(attributes['session.id'], ''), nullIf(attributes['gen_ai.conversation.id'], ''),
                nullIf(attributes['traceloop.association.properties.session_id'], ''), nullIf(attributes['langsmith.metadata.session_id'], ''),
                nullIf(attributes['langsmith.metadata.thread_id'], ''), nullIf(attributes['ai.telemetry.metadata.sessionId'], ''),
                nullIf(attributes['session_id'], ''), '') AS session_id,
            coalesce(nullIf(attributes['langfuse.user.id'], ''), nullIf(attributes['user.id'], ''), nullIf(attributes['enduser.id'], ''),
                nullIf(attributes['traceloop.association.properties.user_id'], ''), nullIf(attributes['langsmith.metadata.user_id'], ''),
                nullIf(attributes['ai.telemetry.metadata.userId'], ''), '') AS user_id,
            coalesce(nullIf(attributes['tacho.customer'], ''), nullIf(attributes['customer.id'], ''), nullIf(attributes['tenant.id'], ''), '') AS customer,
            if(step_layer = 'model', coalesce(nullIf(attributes['gen_ai.provider.name'], ''), nullIf(attributes['llm.provider'], ''),
                nullIf(attributes['gen_ai.system'], ''), nullIf(attributes['llm.system'], ''), nullIf(splitByChar('.', attributes['ai.model.provider'])[1], ''), ''), '') AS provider,
            if(step_layer = 'model', coalesce(nullIf(attributes['gen_ai.response.model'], ''), nullIf(attributes['ai.response.model'], ''),
                nullIf(attributes['llm.model_name'], ''), nullIf(attributes['gen_ai.request.model'], ''), nullIf(attributes['ai.model.id'], ''),
                nullIf(attributes['embedding.model_name'], ''), ''), '') AS model,
            if(step_layer = 'model', coalesce(nullIf(attributes['gen_ai.response.id'], ''), nullIf(attributes['ai.response.id'], ''), ''), '') AS response_id,
            if(step_layer = 'model', coalesce(nullIf(JSONExtract(attributes['gen_ai.response.finish_reasons'], 1, 'String'), ''),
                nullIf(attributes['gen_ai.response.finish_reasons'], ''), nullIf(attributes['llm.finish_reason'], ''), nullIf(attributes['ai.response.finishReason'], ''), ''), '') AS finish_reason,
            if(step_layer = 'tool', coalesce(nullIf(attributes['gen_ai.tool.name'], ''), nullIf(attributes['tool.name'], ''), nullIf(attributes['ai.toolCall.name'], ''),
                nullIf(attributes['traceloop.entity.name'], ''), replaceRegexpOne(name, '^(execute_tool|tools/call|running tool:?) ', '')), '') AS tool,
            if(step_layer = 'tool', coalesce(nullIf(attributes['gen_ai.tool.call.id'], ''), nullIf(attributes['tool.id'], ''), nullIf(attributes['tool_call.id'], ''),
                nullIf(attributes['ai.toolCall.id'], ''), ''), '') AS tool_call_id,
            multiIf(
                step_layer = 'model', coalesce(nullIf(attributes['gen_ai.input.messages'], ''), nullIf(attributes['langfuse.observation.input'], ''),
                    nullIf(attributes['ai.prompt.messages'], ''), nullIf(attributes['tacho.input'], ''), attributes['input.value']),
                step_layer = 'tool', coalesce(nullIf(attributes['gen_ai.tool.call.arguments'], ''), nullIf(attributes['ai.toolCall.args'], ''),
                    nullIf(attributes['tacho.input'], ''), nullIf(attributes['traceloop.entity.input'], ''), nullIf(attributes['langfuse.observation.input'], ''),
                    nullIf(attributes['mlflow.spanInputs'], ''), attributes['input.value']),
                coalesce(nullIf(attributes['tacho.input'], ''), nullIf(attributes['input.value'], ''), nullIf(attributes['langfuse.observation.input'], ''),
                    nullIf(attributes['traceloop.entity.input'], ''), nullIf(attributes['mlflow.spanInputs'], ''), nullIf(attributes['gen_ai.input.messages'], ''),
                    nullIf(attributes['gen_ai.prompt'], ''), attributes['ai.prompt'])
            ) AS input,
            multiIf(
                step_layer = 'model', coalesce(nullIf(attributes['gen_ai.output.messages'], ''), nullIf(attributes['langfuse.observation.output'], ''),
                    nullIf(attributes['ai.response.text'], ''), nullIf(attributes['tacho.output'], ''), attributes['output.value']),
                step_layer = 'tool', coalesce(nullIf(attributes['gen_ai.tool.call.result'], ''), nullIf(attributes['ai.toolCall.result'], ''),
                    nullIf(attributes['tacho.output'], ''), nullIf(attributes['traceloop.entity.output'], ''), nullIf(attributes['langfuse.observation.output'], ''),
                    nullIf(attributes['mlflow.spanOutputs'], ''), attributes['output.value']),
                coalesce(nullIf(attributes['tacho.output'], ''), nullIf(attributes['output.value'], ''), nullIf(attributes['langfuse.observation.output'], ''),
                    nullIf(attributes['traceloop.entity.output'], ''), nullIf(attributes['mlflow.spanOutputs'], ''), nullIf(attributes['gen_ai.output.messages'], ''),
                    nullIf(attributes['gen_ai.completion'], ''), attributes['ai.response.text'])
            ) AS output
        FROM
        (
            -- 3. plain columns of one span
            SELECT
                log_offset, received_ns, project, resource, resource['service.name'] AS service, resource['service.version'] AS service_version,
                scope.name AS scope, scope.version AS scope_version,
                lower(hex(span.trace_id)) AS trace_id, lower(hex(span.span_id)) AS span_id, lower(hex(span.parent_span_id)) AS parent_span_id,
                span.trace_state AS trace_state, span.name AS name,
                -- anything outside the enumerations would fail the whole batch
                if(span.kind BETWEEN 0 AND 5, span.kind, 0) AS kind, if(span.status.code BETWEEN 0 AND 2, span.status.code, 0) AS status_code,
                transform(status_code, [1, 2], ['ok', 'error'], 'unset') AS status, span.status.message AS said_message,
                least(span.start_time_unix_nano, 9223372036854775807) AS start_ns, least(span.end_time_unix_nano, 9223372036854775807) AS end_ns,
                ${map:span.attributes} AS attributes, span.dropped_attributes_count AS dropped_attributes,
                arrayMap(e -> fromUnixTimestamp64Nano(toInt64(least(e.time_unix_nano, 9223372036854775807)), 'UTC'), span.events) AS event_times,
                span.events.name AS event_names, arrayMap(e -> ${map:e.attributes}, span.events) AS event_attributes,
                arrayMap(l -> lower(hex(l.trace_id)), span.links) AS link_trace_ids, arrayMap(l -> lower(hex(l.span_id)), span.links) AS link_span_ids,
                arrayMap(l -> ${map:l.attributes}, span.links) AS link_attributes
            FROM
            (
                -- 2. one row a span
                SELECT log_offset, received_ns, project, resource, scope, arrayJoin(spans) AS span
                FROM
                (
                    SELECT log_offset, received_ns, project, resource, scope_spans.scope AS scope, scope_spans.spans AS spans
                    FROM
                    (
                        -- 1. one row a resource and scope
                        SELECT log_offset, received_ns, project, ${map:rs.resource.attributes} AS resource, arrayJoin(rs.scope_spans) AS scope_spans
                        FROM (SELECT log_offset, received_ns, project, arrayJoin(request.resource_spans) AS rs FROM ${source})
                    )
                )
            )
        )
    )
) AS span
LEFT ANY JOIN (SELECT * FROM model_prices FINAL) AS price ON span.provider = price.provider AND span.model = price.model
