-- Every span of a run, whole, oldest first: what "download as JSON" gives.
SELECT ${span_columns}
FROM spans
${second_views}
WHERE project = {project:String} AND run_id = {run_id:String}
ORDER BY start_time, span_id
