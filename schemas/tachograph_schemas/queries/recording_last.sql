-- The newest recorded run.
SELECT run_id
FROM recording_rows
WHERE project = {project:String}
ORDER BY received_at DESC
LIMIT 1
