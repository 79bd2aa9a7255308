-- Recorded runs since a time, the newest first; empty agent: of all.
SELECT run_id, agent, entrypoint, outcome, effects, received_at, length(tape) AS tape_bytes
FROM recording_rows
WHERE project = {project:String} AND received_at >= {since:DateTime64(9, 'UTC')}
    AND ({agent:String} = '' OR agent = {agent:String})
ORDER BY received_at DESC
LIMIT 1 BY run_id
LIMIT {most:UInt32}
