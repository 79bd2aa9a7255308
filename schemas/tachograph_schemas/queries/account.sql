-- What the readable account is made of: the spans of a run that say something, payloads cut short.
SELECT
    span_id, parent_span_id, name, layer, status, status_message, error_type, start_time, duration_ns, isNull(end_time) AS is_open,
    agent, provider, model, finish_reason, tool, tool_call_id, substringUTF8(input, 1, {payload_chars:UInt32}) AS input_text,
    substringUTF8(output, 1, {payload_chars:UInt32}) AS output_text,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_usd, cost_status,
    mapFilter((key, value) -> startsWith(key, 'tacho.') AND key NOT IN ('tacho.input', 'tacho.output')
        OR startsWith(key, 'gen_ai.evaluation.') OR key = 'gen_ai.retrieval.query.text', attributes) AS facts
FROM spans
WHERE project = {project:String} AND run_id = {run_id:String} AND layer != 'other'
ORDER BY start_time, span_id
LIMIT {limit:UInt32}
