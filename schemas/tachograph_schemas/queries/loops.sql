-- The runs of a time in which a tool was called again and again with the same arguments: how often, and how often the same
-- came of it. What only shows another span's call once more is not counted.
SELECT run_id, any(run_agent) AS agent, max(calls) AS same_call, max(alike) AS same_result
FROM
(
    SELECT run_id, tool, given, sum(times) AS calls, max(times) AS alike
    FROM
    (
        SELECT run_id, tool, cityHash64(input) AS given, cityHash64(output, status_message) AS got, count() AS times
        FROM
        (
            SELECT run_id, span_id, tool, input, output, status_message
            FROM span_rows
            WHERE project = {project:String} AND received_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 1 DAY
                AND start_time >= {since:DateTime64(9, 'UTC')} AND layer = 'tool' AND verdict = ''
                AND (run_id, span_id) NOT IN (
                    SELECT run_id, arrayJoin(second_views.span_id) FROM run_rows
                    WHERE project = {project:String} AND started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
                )
            ORDER BY version DESC
            LIMIT 1 BY run_id, trace_id, span_id
        )
        GROUP BY run_id, tool, given, got
    )
    GROUP BY run_id, tool, given
    HAVING calls >= {least:UInt32}
) AS repeated
LEFT ANY JOIN
(
    SELECT run_id, agent AS run_agent FROM run_rows
    WHERE project = {project:String} AND started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
) AS begun USING run_id
GROUP BY run_id
ORDER BY same_result DESC, same_call DESC, run_id
LIMIT 1000
