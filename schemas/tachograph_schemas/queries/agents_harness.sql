-- What the harness around each agent did in the runs that started in a time, whichever sub-agent did it. Steps of runs that
-- started before have no agent here. No inner join: ClickHouse before 26.10 remembers what such a join filtered out as if the
-- conditions of the query had (its pull request 119823), and later queries come back empty.
SELECT
    run_agent AS agent,
    ${harness_counters}
FROM
(
    SELECT run_id, layer, verdict, attributes
    FROM span_rows
    WHERE project = {project:String} AND received_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 1 DAY
        AND start_time >= {since:DateTime64(9, 'UTC')}
        AND isNotNull(end_time) AND ${is_harness}
    LIMIT 1 BY run_id, trace_id, span_id
) AS written
LEFT ANY JOIN
(
    SELECT run_id, agent AS run_agent FROM run_rows
    WHERE project = {project:String} AND started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
) AS begun USING run_id
GROUP BY agent
ORDER BY agent
