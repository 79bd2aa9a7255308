LEFT ANY JOIN
(
    -- the run's model calls, by their main span
    SELECT
        calls.span_id AS call_id, calls.input_tokens AS call_input_tokens, calls.output_tokens AS call_output_tokens,
        calls.cache_read_tokens AS call_cache_read_tokens, calls.cache_write_tokens AS call_cache_write_tokens, calls.reasoning_tokens AS call_reasoning_tokens,
        calls.cost_usd AS call_cost_usd, calls.cost_status AS call_cost_status
    FROM ${run_versions}
    ARRAY JOIN calls
) AS run_calls ON span_id = call_id
