-- One span, whole.
SELECT ${span_columns}
FROM spans
${second_views}
WHERE project = {project:String} AND run_id = {run_id:String} AND span_id = {span_id:String}
LIMIT 1
