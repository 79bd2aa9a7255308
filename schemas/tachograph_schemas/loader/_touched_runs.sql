-- The runs of the batches but for those that rest, and the runs whose rest is over
touched AS (
    SELECT DISTINCT project, run_id FROM span_rows
    WHERE writer_id = {writer_id:UInt64} AND batch IN {batches:Array(UInt64)} AND NOT has({resting:Array(Tuple(String, String))}, (project, run_id))
    UNION DISTINCT
    SELECT arrayJoin({rested:Array(Tuple(String, String))}).1 AS project, arrayJoin({rested:Array(Tuple(String, String))}).2 AS run_id
)
