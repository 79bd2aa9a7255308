-- What is known of a run's recording, without its tape.
SELECT run_id, agent, entrypoint, outcome, effects, received_at, length(tape) AS tape_bytes
FROM recording_rows
WHERE project = {project:String} AND run_id = {run_id:String}
ORDER BY received_at DESC
LIMIT 1
