-- One figure of the spans that ended in a time, by group; a second view of a call is not counted again.
SELECT ${group} AS key, ${value} AS value, ${samples} AS samples
FROM
(
    SELECT agent, customer, model, tool, service_version AS version, layer, verdict, status, start_time, end_time, duration_ns, attributes
    FROM span_rows
    -- Clocks of other machines may be ahead; a span is not received long before it ends.
    WHERE project = {project:String} AND received_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 5 MINUTE
        AND layer IN ('model', 'tool', 'gate', 'validation', 'repair', 'breaker', 'budget', 'stop')
        AND (run_id, span_id) NOT IN
        (
            SELECT run_id, arrayJoin(second_views.span_id) FROM run_rows
            WHERE project = {project:String} AND last_seen_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 5 MINUTE
        )
    ORDER BY span_rows.version DESC
    LIMIT 1 BY run_id, trace_id, span_id
)
WHERE end_time >= {since:DateTime64(9, 'UTC')} AND end_time < {until:DateTime64(9, 'UTC')}
    ${filter}
GROUP BY key
ORDER BY samples DESC, key
LIMIT {most_groups:UInt32}
