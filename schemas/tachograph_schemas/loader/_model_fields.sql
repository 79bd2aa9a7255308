if(layer = 'model', coalesce(${or_null:response_id}, if(
        startsWith(${first:output}, '{'),
        coalesce(
            nullIf(JSONExtractString(${first:output}, 'id'), ''), nullIf(JSONExtractString(${first:output}, 'llm_output', 'id'), ''),
            JSONExtractString(${first:output}, 'generations', 1, 1, 'message', 'kwargs', 'response_metadata', 'id')
        ),
        ''
    )), '') AS response_id,
    arrayFirst(p -> p NOT IN ('strands-agents', 'langchain', 'microsoft.agent_framework'), arrayMap(x -> lower(x.2), arrayFilter(x -> intDiv(x.1, 64) = ${number:provider}, found))) AS provider_said,
    splitByChar('.', provider_said)[1] AS provider_word,
    if(layer = 'model', if(provider_word IN ('openai', 'anthropic', 'google'), provider_word, provider_said), '') AS provider,
    if(layer = 'model', coalesce(${or_null:request_model}, nullIf(JSONExtractString(${first:parameters}, 'model'), ''), JSONExtractString(${first:input}, 'model')), '') AS request_model,
    if(layer = 'model', coalesce(${or_null:model}, if(
        startsWith(${first:output}, '{'),
        coalesce(
            nullIf(JSONExtractString(${first:output}, 'model'), ''), nullIf(JSONExtractString(${first:output}, 'replies', 1, 'meta', 'model'), ''),
            nullIf(JSONExtractString(${first:output}, 'generations', 1, 1, 'message', 'kwargs', 'response_metadata', 'model_name'), '')
        ),
        NULL
    ), request_model), '') AS model,
    if(layer = 'model', transform(
        coalesce(nullIf(JSONExtractString(${first:finish_reason}, 1), ''), ${or_null:finish_reason}, JSONExtractString(${first:messages_out}, 1, 'finish_reason')) AS finish_said,
        ['end_turn', 'stop_sequence', 'STOP', 'completed', 'tool_use', 'tool_calls', 'tool-calls', 'function_call', 'max_tokens', 'MAX_TOKENS', 'content-filter', 'refusal', 'SAFETY'],
        ['stop', 'stop', 'stop', 'stop', 'tool_call', 'tool_call', 'tool_call', 'tool_call', 'length', 'length', 'content_filter', 'content_filter', 'content_filter'],
        finish_said
    ), '') AS finish_reason,
    if(layer = 'model', multiIf(
        ${first:ttft_s} != '', toUInt64OrNull(toString(round(toFloat64OrZero(${first:ttft_s}) * 1e9))),
        ${first:ttft_ms} != '', toUInt64OrNull(toString(round(toFloat64OrZero(${first:ttft_ms}) * 1e6))),
        ${first:ttft_server} != '', toUInt64OrNull(toString(round(toFloat64OrZero(${first:ttft_server}) * if(startsWith(scope, 'strands'), 1e6, 1e9)))),
        NULL
    ), NULL) AS ttft_ns,
    if(layer = 'model' AND (coalesce(toFloat64OrNull(${first:client_cost}),
        JSONExtractFloat(${first:client_cost_json}, 'total') + JSONExtractFloat(${first:client_cost_json}, 'total_cost')) AS client_said) BETWEEN 0 AND 1e9, nullIf(client_said, 0), NULL) AS client_cost_usd,
