-- What the model calls of a time used, by model and slice of time; every call once.
SELECT
    toStartOfInterval(call_started_at, toIntervalSecond({slice_s:UInt32}), 'UTC') AS slice, call_model AS model, count() AS calls,
    sum(ifNull(call_input_tokens, 0)) AS input_tokens, sum(ifNull(call_output_tokens, 0)) AS output_tokens,
    sum(ifNull(call_cache_read_tokens, 0)) AS cache_read_tokens, sum(ifNull(call_cache_write_tokens, 0)) AS cache_write_tokens,
    sum(call_cost_usd) AS known_cost_usd
FROM
(
    SELECT
        calls.started_at AS call_started_at, calls.model AS call_model, calls.input_tokens AS call_input_tokens, calls.output_tokens AS call_output_tokens,
        calls.cache_read_tokens AS call_cache_read_tokens, calls.cache_write_tokens AS call_cache_write_tokens, calls.cost_usd AS call_cost_usd
    FROM run_rows FINAL
    WHERE project = {project:String}
)
ARRAY JOIN call_started_at, call_model, call_input_tokens, call_output_tokens, call_cache_read_tokens, call_cache_write_tokens, call_cost_usd
WHERE call_started_at >= {since:DateTime64(9, 'UTC')} AND call_started_at < {until:DateTime64(9, 'UTC')}
GROUP BY slice, model
ORDER BY slice, model
