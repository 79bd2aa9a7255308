-- One figure of the model calls that began in a time, by group; every call once.
SELECT ${group} AS key, ${value} AS value, ${samples} AS samples
FROM
(
    SELECT
        if(call_agent = '', run_agent, call_agent) AS agent, customer, version, call_model AS model, call_started_at, call_cost_usd, call_cost_status,
        ifNull(call_input, 0) + ifNull(call_output, 0) + ifNull(call_cache_read, 0) + ifNull(call_cache_write, 0) AS call_tokens
    FROM
    (
        SELECT
            agent AS run_agent, customer, version, calls.agent AS call_agent, calls.model AS call_model, calls.started_at AS call_started_at,
            calls.cost_usd AS call_cost_usd, calls.cost_status AS call_cost_status, calls.input_tokens AS call_input,
            calls.output_tokens AS call_output, calls.cache_read_tokens AS call_cache_read, calls.cache_write_tokens AS call_cache_write
        FROM run_rows
        WHERE project = {project:String} AND last_seen_at >= {since:DateTime64(9, 'UTC')}
        ORDER BY computed_at_ns DESC
        LIMIT 1 BY run_id
    )
    ARRAY JOIN call_agent, call_model, call_started_at, call_cost_usd, call_cost_status, call_input, call_output, call_cache_read, call_cache_write
)
WHERE call_started_at >= {since:DateTime64(9, 'UTC')} AND call_started_at < {until:DateTime64(9, 'UTC')}
    ${filter}
GROUP BY key
ORDER BY samples DESC, key
LIMIT {most_groups:UInt32}
