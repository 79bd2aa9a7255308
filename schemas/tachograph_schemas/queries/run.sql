-- The runs whose id starts with a text; two at most, so that an ambiguous prefix can be told.
SELECT ${run_columns}
FROM runs
WHERE project = {project:String} AND startsWith(run_id, {run_id:String})
ORDER BY run_id = {run_id:String} DESC, started_at DESC
LIMIT 2
