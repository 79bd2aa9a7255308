-- Whether a tape is stored already, and which of its payloads are.
SELECT
    (SELECT count() FROM recording_rows
        WHERE project = {project:String} AND run_id = {run_id:String} AND digest = {digest:String}) AS tapes,
    (SELECT groupUniqArray(name) FROM blob_rows
        WHERE project = {project:String} AND name IN {names:Array(String)}
            AND received_at >= toStartOfDay(now('UTC'))) AS names
