-- What successful runs of an agent need: the largest context, the steps and the cost that only one in a hundred exceeds.
SELECT
    count() AS runs,
    toFloat64(quantileExactHigh(0.99)(context)) AS context_tokens_p99,
    toFloat64(quantileExactHigh(0.99)(steps)) AS steps_p99,
    ifNull(quantileExactHighOrNull(0.99)(cost_usd), 0) AS cost_usd_p99
FROM
(
    SELECT
        arrayMax(arrayMap(
            (fresh, cached, written) -> ifNull(fresh, 0) + ifNull(cached, 0) + ifNull(written, 0),
            calls.input_tokens, calls.cache_read_tokens, calls.cache_write_tokens
        )) AS context,
        model_calls + tool_calls AS steps, cost_usd
    FROM run_rows
    WHERE project = {project:String} AND run_id IN ${runs_around}
    ORDER BY computed_at_ns DESC
    LIMIT 1 BY run_id
)
