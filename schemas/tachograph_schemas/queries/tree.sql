-- The thin columns of every span of a run, for the tree and its bars: no payload is read. Tokens and costs are
-- those of calls: the spans that show a call again have none.
SELECT
    span_id, parent_span_id, name, layer, toString(status) AS status, verdict, toUnixTimestamp64Nano(start_time) AS start_ns, duration_ns, CAST(isNull(end_time), 'Bool') AS is_open, agent, model, tool,
    multiIf(
        second_view_of != '', 0,
        call_id != '', ifNull(call_input_tokens, 0) + ifNull(call_cache_read_tokens, 0) + ifNull(call_cache_write_tokens, 0) + ifNull(call_output_tokens, 0),
        ifNull(input_tokens, 0) + ifNull(cache_read_tokens, 0) + ifNull(cache_write_tokens, 0) + ifNull(output_tokens, 0)
    ) AS tokens,
    multiIf(second_view_of != '', NULL, call_id != '', call_cost_usd, cost_usd) AS cost_usd,
    second_view_of
FROM ${spans_of_run}
${second_views}
${calls_of_run}
ORDER BY start_time, span_id
