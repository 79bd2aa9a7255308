-- The successful run that was asked most nearly the same: same entry point first, then the likeness of what was asked.
SELECT
    run_id,
    if({asked:String} = '', 0, 1 - ngramDistanceCaseInsensitiveUTF8(substringUTF8(if(goal != '', goal, input), 1, 2000), {asked:String})) AS likeness
FROM
(
    SELECT run_id, goal, input, entrypoint, started_at
    FROM run_rows
    WHERE project = {project:String} AND run_id IN ${runs_around}
    ORDER BY computed_at_ns DESC
    LIMIT 1 BY run_id
)
ORDER BY entrypoint = {entrypoint:String} DESC, likeness DESC, abs(toUnixTimestamp64Nano(started_at) - toUnixTimestamp64Nano({around:DateTime64(9, 'UTC')})), run_id
LIMIT 1
