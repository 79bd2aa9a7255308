-- Runs that called tools in a time, by group, and how often in each a tool gave the same for the same arguments: the sign
-- "same result" of the run page, over all runs. A second view of a call is not counted again.
SELECT ${group} AS key, ${value} AS value, ${samples} AS samples
FROM
(
    SELECT run_id, any(alike_agent) AS agent, any(alike_customer) AS customer, any(alike_version) AS version, max(times) AS same_result
    FROM
    (
        SELECT
            run_id, any(agent) AS alike_agent, any(customer) AS alike_customer, any(service_version) AS alike_version, count() AS times
        FROM
        (
            SELECT run_id, tool, input, output, status_message, agent, customer, service_version, end_time
            FROM span_rows
            -- Clocks of other machines may be ahead; a span is not received long before it ends.
            WHERE project = {project:String} AND received_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 5 MINUTE
                AND layer = 'tool' AND verdict = '' AND input != ''
                AND (run_id, span_id) NOT IN
                (
                    SELECT run_id, arrayJoin(second_views.span_id) FROM run_rows
                    WHERE project = {project:String} AND last_seen_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 5 MINUTE
                )
            ORDER BY span_rows.version DESC
            LIMIT 1 BY run_id, trace_id, span_id
        )
        WHERE end_time >= {since:DateTime64(9, 'UTC')} AND end_time < {until:DateTime64(9, 'UTC')}
        GROUP BY run_id, tool, cityHash64(input), cityHash64(output, status_message)
    )
    GROUP BY run_id
)
WHERE run_id != ''
    ${filter}
GROUP BY key
ORDER BY value DESC, key
LIMIT {most_groups:UInt32}
