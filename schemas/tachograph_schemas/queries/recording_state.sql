-- What is known of a run's recording, without reading its tape as a replay does. Records of a tape begin lines, and
-- no payload has a line of its own, so that what a tape says of itself is found by its text.
SELECT
    run_id, agent, entrypoint, outcome, effects, received_at, length(tape) AS tape_bytes,
    multiIf(
        extract(substring(tape, 1, 100), '"mode":"([a-z]+)"') = 'light' OR position(tape, '\n{"t":"light",') > 0, 'light',
        position(tape, '\n{"t":"cut",') > 0, 'cut',
        ''
    ) AS limits
FROM recording_rows
WHERE project = {project:String} AND run_id = {run_id:String}
ORDER BY received_at DESC
LIMIT 1
