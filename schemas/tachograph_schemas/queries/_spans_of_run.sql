(
    -- As the view `spans` has them. The last write of each span is picked here, where one run is read: FINAL would merge
    -- whatever lies near it in every part.
    SELECT * REPLACE (whole_attributes AS attributes) FROM span_rows
    WHERE project = {project:String} AND run_id = {run_id:String}
    ORDER BY version DESC
    LIMIT 1 BY trace_id, span_id
) AS spans_of_run
