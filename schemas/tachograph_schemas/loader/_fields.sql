-- 7. the columns. What kind of step it is decides which attributes are its input, output, tool and model.
SELECT
    *,
    transform(concat(provider, '\n', model), listed_models, arrayEnumerate(listed_models), 0) AS price_at,
    listed_prices[greatest(price_at, 1)] AS price,
    if(counts, if(cached > input_said OR is_exclusive, input_said, input_said - cached), NULL) AS input_tokens,
    if(counts, output_said, NULL) AS output_tokens,
    if(counts, read_said, NULL) AS cache_read_tokens,
    if(counts, write_said, NULL) AS cache_write_tokens,
    if(counts, least(ifNull(write_1h_said, 0), write_said), NULL) AS cache_write_1h_tokens,
    if(counts, write_said - least(ifNull(write_1h_said, 0), write_said), NULL) AS cache_write_5m_tokens,
    if(counts, reasoning_said, NULL) AS reasoning_tokens
FROM
(
    WITH
        layer = 'model' AS counts_here,
        -- counts inside a usage object, nested or not, JSON or the text of a Python dict: name and number
        if(
            counts_here,
            concat(${said:usage}, if(
                -- MLflow's own totals are the measure; its outputs only know more about them
                family = 'logfire/' OR startsWith(scope, 'haystack') OR (family = 'mlflow/' AND ${said:usage} != ''),
                concat(JSONExtractRaw(${said:output}, 'usage'), JSONExtractRaw(${said:output}, 'replies', 1, 'meta', 'usage')),
                ''
            )),
            ''
        ) AS usage,
        CAST(arrayMap(x -> (toUInt8(intDiv(x.1, 64)), x.2), arraySort(x -> x.1, arrayFilter(x -> x.1 != 0, arrayMap(
            g -> (${usage_code:g[1]}, g[2]),
            extractAllGroupsVertical(usage, '[\'"](\\w+)[\'"]\\s*:\\s*(\\d+)')
        )))), 'Map(UInt8, String)') AS counted
    SELECT
        *,
        counts_here AS counts,
        toUInt64OrNull(coalesce(nullIf(${said:input_tokens}, ''), nullIf(counted[1], ''), if(kind_said = 'embedding', ${said:total_tokens}, ''))) AS input_said,
        toUInt64OrNull(coalesce(nullIf(${said:output_tokens}, ''), counted[2])) AS output_said,
        toUInt64OrNull(coalesce(nullIf(${said:cache_read_tokens}, ''), counted[3])) AS read_said,
        toUInt64OrNull(coalesce(nullIf(${said:cache_write_tokens}, ''), counted[4])) AS write_said,
        toUInt64OrNull(coalesce(nullIf(${said:reasoning_tokens}, ''), counted[5])) AS reasoning_said,
        toUInt64OrNull(${said:cache_write_1h_tokens}) AS write_1h_said,
        ifNull(read_said, 0) + ifNull(write_said, 0) AS cached,
        -- Claims of the convention that some clients do not keep: their input is without the cache.
        startsWith(scope, 'com.anthropic.claude_code') OR startsWith(scope, 'openlit.instrumentation.anthropic')
            OR (${said:input_tokens} = '' AND JSONHas(${said:usage}, 'input')) AS is_exclusive
    FROM
    (
        WITH
            coalesce(nullIf(${said:response_id}, ''), if(
                layer = 'model' AND startsWith(${said:output}, '{'),
                coalesce(
                    nullIf(JSONExtractString(${said:output}, 'id'), ''), nullIf(JSONExtractString(${said:output}, 'llm_output', 'id'), ''),
                    JSONExtractString(${said:output}, 'generations', 1, 1, 'message', 'kwargs', 'response_metadata', 'id')
                ),
                ''
            )) AS response_id_found,
            if(layer = 'model', coalesce(nullIf(${said:request_model}, ''), nullIf(JSONExtractString(${said:parameters}, 'model'), ''), JSONExtractString(${said:input}, 'model')), '') AS request_model_found,
            coalesce(nullIf(${said:tool}, ''), nullIf(${said:entity}, ''), replaceRegexpOne(name, '^(execute_tool|tools/call|running tool:?) |(\\.tool|\\.run|\\.__call__)$|^claude_code\\..*', '')) AS tool_found,
            coalesce(nullIf(${said:arguments}, ''), nullIf(${said:input}, ''), nullIf(tool_message, ''),
                if(position(${said:tool_parameters}, '"properties"') > 0, '', ${said:tool_parameters})) AS arguments_found,
            JSONExtractRaw(arguments_found, 'kwargs') AS named_arguments
        SELECT
            log_offset, received_ns, project, trace_id, family, scope, scope_version, name, kind, kind_said, service, service_version, resource, attributes, dropped_attributes,
            start_ns, end_ns, event_times, event_names, event_attributes, link_trace_ids, link_span_ids, link_attributes, trace_state, tags, said,
            -- Logfire announces an open span by a span of its own: it becomes that span's in-progress copy
            if(is_announcement, said_parent_id, said_span_id) AS span_id,
            if(is_announcement, if(match(attributes['logfire.pending_parent_id'], '^0*$'), '', attributes['logfire.pending_parent_id']), said_parent_id) AS parent_span_id,
            is_announcement OR attributes['tacho.open'] = 'true' AS is_open,
            layer,
            attributes['http.request.method'] != '' OR attributes['http.method'] != '' OR attributes['db.system'] != '' OR attributes['db.system.name'] != ''
                OR attributes['rpc.system'] != '' OR attributes['messaging.system'] != '' AS is_transport,
            coalesce(nullIf(attributes['tacho.run.id'], ''), trace_id) AS run_id,
            multiIf(failed, 'error', status_code = 1, 'ok', 'unset') AS status,
            coalesce(nullIf(said_message, ''), nullIf(event_attributes[exception_at]['exception.message'], ''), if(failed, ${said:error_message}, '')) AS status_message,
            if(failed, coalesce(nullIf(error_said, ''), nullIf(event_attributes[exception_at]['exception.type'], ''), '_OTHER'), '') AS error_type,
            coalesce(nullIf(attributes['tacho.gate.verdict'], ''), nullIf(attributes['tacho.validation.verdict'], ''), nullIf(attributes['tacho.repair.outcome'], ''),
                nullIf(attributes['tacho.approval.decision'], ''), nullIf(attributes['tacho.budget.action'], ''),
                transform(concat(kind_said, layer, attributes['decision']), ['approvalgateaccept', 'approvalgatereject', 'approvalapprovalaccept', 'approvalapprovalreject'], ['allow', 'deny', 'approved', 'refused'], '')) AS verdict,
            coalesce(nullIf(${said:agent}, ''), if(kind_said = 'agent' AND attributes['tacho.layer'] = '',
                coalesce(nullIf(${said:entity}, ''), nullIf(${said:agent_of_agent}, ''), replaceRegexpOne(name, '^(invoke_agent|create_agent) |\\.(agent|run)$', '')), '')) AS agent,
            if(startsWith(${said:session_id}, '[Scrubbed'), '', ${said:session_id}) AS session_id,
            ${said:user_id} AS user_id, ${said:customer} AS customer,
            if(layer = 'model', if(provider_word IN ('openai', 'anthropic', 'google'), provider_word, provider_said), '') AS provider,
            request_model_found AS request_model,
            if(layer = 'model', coalesce(nullIf(${said:model}, ''), if(
                startsWith(${said:output}, '{'),
                coalesce(
                    nullIf(JSONExtractString(${said:output}, 'model'), ''), nullIf(JSONExtractString(${said:output}, 'replies', 1, 'meta', 'model'), ''),
                    nullIf(JSONExtractString(${said:output}, 'generations', 1, 1, 'message', 'kwargs', 'response_metadata', 'model_name'), '')
                ),
                NULL
            ), request_model_found), '') AS model,
            if(layer = 'model', response_id_found, '') AS response_id,
            if(layer = 'model', transform(
                coalesce(nullIf(JSONExtractString(${said:finish_reason}, 1), ''), nullIf(${said:finish_reason}, ''), JSONExtractString(${said:messages_out}, 1, 'finish_reason')) AS finish_said,
                ['end_turn', 'stop_sequence', 'STOP', 'completed', 'tool_use', 'tool_calls', 'tool-calls', 'function_call', 'max_tokens', 'MAX_TOKENS', 'content-filter', 'refusal', 'SAFETY'],
                ['stop', 'stop', 'stop', 'stop', 'tool_call', 'tool_call', 'tool_call', 'tool_call', 'length', 'length', 'content_filter', 'content_filter', 'content_filter'],
                finish_said
            ), '') AS finish_reason,
            if(layer = 'model', multiIf(
                ${said:ttft_s} != '', toUInt64OrNull(toString(round(toFloat64OrZero(${said:ttft_s}) * 1e9))),
                ${said:ttft_ms} != '', toUInt64OrNull(toString(round(toFloat64OrZero(${said:ttft_ms}) * 1e6))),
                ${said:ttft_server} != '', toUInt64OrNull(toString(round(toFloat64OrZero(${said:ttft_server}) * if(startsWith(scope, 'strands'), 1e6, 1e9)))),
                NULL
            ), NULL) AS ttft_ns,
            if(layer = 'model', nullIf(coalesce(toFloat64OrNull(${said:client_cost}),
                JSONExtractFloat(${said:client_cost_json}, 'total') + JSONExtractFloat(${said:client_cost_json}, 'total_cost')), 0), NULL) AS client_cost_usd,
            if(layer = 'tool', tool_found, '') AS tool,
            if(layer = 'tool', ${said:tool_call_id}, '') AS tool_call_id,
            multiIf(
                layer = 'model', coalesce(nullIf(${said:messages_in}, ''), nullIf(flat_in, ''), nullIf(turns_in, ''), ${said:input}),
                layer = 'tool', if(length(named_arguments) > 2, named_arguments, arguments_found),
                coalesce(nullIf(${said:input}, ''), nullIf(${said:messages_in}, ''), nullIf(flat_in, ''), turns_in)
            ) AS input,
            multiIf(
                -- LiteLLM leaves the tool call out of the messages
                layer = 'model', if(flat_out != '' AND position(${said:messages_out}, '"parts": []') > 0, flat_out,
                    coalesce(nullIf(${said:messages_out}, ''), nullIf(flat_out, ''), nullIf(turns_out, ''), ${said:output})),
                layer = 'tool', coalesce(nullIf(${said:result}, ''), nullIf(${said:output}, ''), nullIf(tool_output_event, ''), choice),
                coalesce(nullIf(${said:output}, ''), nullIf(${said:messages_out}, ''), nullIf(flat_out, ''), turns_out)
            ) AS output
        FROM
        (
${messages}
        )
    )
)
