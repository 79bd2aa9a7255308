-- The recording of the run whose id starts with a text; two at most, so that an ambiguous prefix can be told.
SELECT run_id, agent, entrypoint, outcome, effects, tape, blobs
FROM recording_rows
WHERE project = {project:String} AND startsWith(run_id, {run_id:String})
ORDER BY run_id = {run_id:String} DESC, received_at DESC
LIMIT 1 BY run_id
LIMIT 2
