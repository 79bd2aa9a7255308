-- Which of some runs batches touched, and whether they brought the end of one. Parameters: writer_id, batches, resting.
SELECT project, run_id, max(isNotNull(end_time) AND (layer = 'run' OR parent_span_id = '')) AS is_over
FROM span_rows
WHERE writer_id = {writer_id:UInt64} AND batch IN {batches:Array(UInt64)} AND NOT is_infrastructure AND has({resting:Array(Tuple(String, String))}, (project, run_id))
GROUP BY project, run_id
