-- Runs that are open, and in which nothing has begun or ended since `since`, by group. Waiting for a person is not being stuck.
SELECT ${group} AS key, ${value} AS value, ${samples} AS samples
FROM
(
    SELECT run_id, agent, customer, version, outcome, last_seen_at, heartbeat, ${outcome_now} AS outcome_then
    FROM run_rows
    WHERE project = {project:String} AND last_seen_at >= now64(9) - INTERVAL 10 MINUTE
    ORDER BY computed_at_ns DESC
    LIMIT 1 BY run_id
) AS open_runs
INNER JOIN
(
    SELECT run_id, max(greatest(start_time, ifNull(end_time, start_time))) AS last_step, countIf(layer = 'approval' AND isNull(end_time)) AS waits
    FROM span_rows FINAL
    WHERE project = {project:String} AND run_id IN
        (SELECT run_id FROM run_rows WHERE project = {project:String} AND last_seen_at >= now64(9) - INTERVAL 10 MINUTE AND outcome = 'running')
    GROUP BY run_id
) AS steps USING (run_id)
WHERE outcome_then = 'running'
    ${filter}
GROUP BY key
ORDER BY value DESC, key
LIMIT {most_groups:UInt32}
