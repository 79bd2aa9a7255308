LEFT ANY JOIN
(
    -- From each span with ${place_start} upwards to the innermost step that it is in. 64 levels, so that a circle ends too.
    WITH RECURSIVE
        links AS (
            SELECT run_id, span_id, parent_span_id, layer, name FROM span_rows FINAL
            PREWHERE project = {project:String} AND run_id IN (
                SELECT run_id FROM run_rows FINAL WHERE project = {project:String} AND started_at >= {since:DateTime64(9, 'UTC')}
            )
        ),
        climb AS (
            SELECT run_id, span_id, parent_span_id AS above, if(layer = 'step', name, '') AS step, toUInt8(0) AS height
            FROM span_rows FINAL
            PREWHERE project = {project:String} AND run_id IN (
                SELECT run_id FROM run_rows FINAL WHERE project = {project:String} AND started_at >= {since:DateTime64(9, 'UTC')}
            )
            WHERE ${place_start}
            UNION ALL
            SELECT climb.run_id, climb.span_id, parent.parent_span_id, if(parent.layer = 'step', parent.name, ''), climb.height + 1
            FROM climb INNER JOIN links AS parent ON climb.run_id = parent.run_id AND climb.above = parent.span_id
            WHERE climb.height < 64 AND climb.step = ''
        )
    SELECT run_id, span_id, argMax(step, height) AS step FROM climb GROUP BY run_id, span_id
) AS placed ON ${placed_span}
