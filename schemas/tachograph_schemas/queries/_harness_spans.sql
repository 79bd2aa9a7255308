(
    -- What the harness did in the runs of one agent that started in a time. Days that were over before are not opened; a day's
    -- clock error between client and collector is allowed for. A step that ended is the same in every write of it, so any
    -- is taken: putting them in order would take twice as long.
    SELECT run_id, layer, verdict, start_time, attributes
    FROM span_rows
    WHERE project = {project:String} AND received_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 1 DAY
        AND start_time >= {since:DateTime64(9, 'UTC')}
        AND isNotNull(end_time) AND ${is_harness}
        AND run_id IN (
            SELECT run_id FROM run_rows
            WHERE project = {project:String} AND agent = {agent:String}
                AND started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
        )
    LIMIT 1 BY run_id, trace_id, span_id
) AS harness_spans
