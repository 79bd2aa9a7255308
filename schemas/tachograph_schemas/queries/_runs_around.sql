(
    -- The runs of an agent nearest in time to a moment, 200 on either side: what is compared never grows with the store.
    SELECT run_id FROM (
        SELECT run_id FROM run_rows
        WHERE project = {project:String} AND agent = {agent:String} AND outcome = 'success' AND run_id != {run_id:String}
            AND started_at < {around:DateTime64(9, 'UTC')} AND started_at >= {around:DateTime64(9, 'UTC')} - INTERVAL 90 DAY
        ORDER BY started_at DESC LIMIT 200
    )
    UNION DISTINCT
    SELECT run_id FROM (
        SELECT run_id FROM run_rows
        WHERE project = {project:String} AND agent = {agent:String} AND outcome = 'success' AND run_id != {run_id:String}
            AND started_at >= {around:DateTime64(9, 'UTC')} AND started_at < {around:DateTime64(9, 'UTC')} + INTERVAL 90 DAY
        ORDER BY started_at LIMIT 200
    )
)
