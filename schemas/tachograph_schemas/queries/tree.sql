-- The thin columns of every span of a run, for the tree and its bars: no payload is read.
SELECT
    span_id, parent_span_id, name, layer, toString(status) AS status, verdict, toUnixTimestamp64Nano(start_time) AS start_ns, duration_ns, CAST(isNull(end_time), 'Bool') AS is_open, agent, model, tool,
    ifNull(input_tokens, 0) + ifNull(cache_read_tokens, 0) + ifNull(cache_write_tokens, 0) + ifNull(output_tokens, 0) AS tokens,
    cost_usd
FROM spans
WHERE project = {project:String} AND run_id = {run_id:String}
ORDER BY start_time, span_id
