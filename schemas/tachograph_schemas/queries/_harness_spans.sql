(
    -- What the harness did in the runs of one agent that started in a time. Days that were over before are not opened, and
    -- only steps of the harness are put in order; a day's clock error between client and collector is allowed for.
    SELECT run_id, layer, verdict, start_time, attributes
    FROM span_rows
    WHERE project = {project:String} AND received_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 1 DAY
        AND start_time >= {since:DateTime64(9, 'UTC')}
        AND ${is_harness}
        AND run_id IN (
            SELECT run_id FROM run_rows
            WHERE project = {project:String} AND agent = {agent:String}
                AND started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
        )
    ORDER BY version DESC
    LIMIT 1 BY run_id, trace_id, span_id
) AS harness_spans
