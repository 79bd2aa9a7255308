-- One span, whole.
SELECT
    span_id, parent_span_id, trace_id, run_id, name, layer, kind, status, status_message, error_type, start_time, end_time, duration_ns,
    service, service_version, scope, scope_version, agent, session_id, user_id, customer, provider, model, response_id, finish_reason,
    tool, tool_call_id, input, output, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_5m_tokens,
    cache_write_1h_tokens, reasoning_tokens, cost_usd, cost_status, price_id, attributes, resource,
    arrayZip(events.time, events.name, events.attributes) AS event_rows,
    arrayZip(links.trace_id, links.span_id, links.attributes) AS link_rows,
    dropped_attributes
FROM spans
WHERE project = {project:String} AND run_id = {run_id:String} AND span_id = {span_id:String}
LIMIT 1
