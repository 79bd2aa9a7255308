-- Which of some runs batches touched, and whether they brought the end of one. Transport noise is counted as well, so it
-- touches a run, but ends none. Parameters: writer_id, batches, resting.
SELECT project, run_id, max(NOT is_infrastructure AND isNotNull(end_time) AND (layer = 'run' OR parent_span_id = '')) AS is_over
FROM span_rows
WHERE writer_id = {writer_id:UInt64} AND batch IN {batches:Array(UInt64)} AND has({resting:Array(Tuple(String, String))}, (project, run_id))
GROUP BY project, run_id
