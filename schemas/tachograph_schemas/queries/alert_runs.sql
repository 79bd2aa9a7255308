-- One figure of the runs that ended in a time, by group. One that went silent ended when it was last heard of.
SELECT ${group} AS key, ${value} AS value, ${samples} AS samples
FROM
(
    SELECT
        agent, customer, version, started_at, ended_at, last_seen_at, heartbeat, duration_ns, outcome, cost_usd, spans_made, span_count,
        ${outcome_now} AS outcome_then
    FROM run_rows
    -- Later versions of a run were seen later, so what this leaves out holds no version that counts.
    WHERE project = {project:String} AND last_seen_at >= {since:DateTime64(9, 'UTC')}
    ORDER BY computed_at_ns DESC
    LIMIT 1 BY run_id
)
WHERE outcome_then != 'running' AND ifNull(ended_at, last_seen_at) >= {since:DateTime64(9, 'UTC')}
    AND ifNull(ended_at, last_seen_at) < {until:DateTime64(9, 'UTC')}
    ${filter}
GROUP BY key
ORDER BY samples DESC, key
LIMIT {most_groups:UInt32}
