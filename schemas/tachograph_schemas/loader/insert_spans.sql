-- One batch of envelopes (otlp_trace.proto) becomes one insert. The engine decodes the protobuf and maps
-- the conventions; nothing runs per span in Python.
--
-- Parameters: writer_id, batch. ${source} is file(...) for the embedded engine and input(...) for a server.
-- sources.py and kinds.py are filled in: which attribute feeds which column, and in which precedence. What the batch's
-- shape has nothing for is left out (span_insert.py). Read from the bottom: each section is a SELECT around the one below it.
INSERT INTO span_rows (
    writer_id, batch, log_offset, received_at, version, project, run_id, trace_id, span_id, parent_span_id, trace_state,
    start_time, end_time, duration_ns, name, kind, layer, is_infrastructure, status, status_message, verdict, error_type,
    service, service_version, scope, scope_version, agent, session_id, user_id, customer, tags,
    tool, tool_call_id, input, output, input_key, output_key, attributes, resource,
    events.time, events.name, events.attributes, links.trace_id, links.span_id, links.attributes, dropped_attributes,
    provider, model, request_model, response_id, finish_reason, ttft_ns, client_cost_usd,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_5m_tokens, cache_write_1h_tokens, reasoning_tokens,
    cost_usd, cost_status, price_id, odd_usage, saved_usd, is_cached, tool_cost_usd, human_cost_usd
)
${calls?with_money:}
-- 9. the columns in their order
SELECT
    {writer_id:UInt64}, {batch:UInt64}, log_offset, fromUnixTimestamp64Nano(toInt64(received_ns), 'UTC'),
    received_ns + if(end_ns > 0 AND NOT is_open, 9223372036854775808, 0),
    project, run_id, trace_id, span_id, parent_span_id, trace_state,
    fromUnixTimestamp64Nano(toInt64(start_ns), 'UTC'),
    if(end_ns > 0 AND NOT is_open, fromUnixTimestamp64Nano(toInt64(end_ns), 'UTC'), NULL),
    if(end_ns > start_ns, end_ns - start_ns, 0),
    name, kind, layer, layer = 'other' AND is_transport, status, status_message, verdict, error_type,
    service, service_version, scope, scope_version, agent, session_id, user_id, customer, tags,
    tool, tool_call_id, input, output, if(input_at > 0, mapKeys(attributes)[input_at], ''), if(output_at > 0, mapKeys(attributes)[output_at], ''),
    if(input_at + output_at = 0, attributes, CAST(
        arrayFilter((pair, at) -> at != input_at AND at != output_at, arrayZip(mapKeys(attributes), mapValues(attributes)), arrayEnumerate(mapKeys(attributes))), 'Map(LowCardinality(String), String)'
    )), resource,
    event_times, event_names, event_attributes, link_trace_ids, link_span_ids, link_attributes, dropped_attributes,
    ${calls?money:no_model},
    is_cached, if(is_cached, NULL, beside_usd), if((toFloat64OrNull(${first:human_cost}) AS human_said) BETWEEN 0 AND 1e9, human_said, NULL)
FROM
(
${calls?tokens:fields}
)
