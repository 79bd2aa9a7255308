-- Which of some runs a batch touched, and whether it brought the end of one. Parameters: writer_id, batch, resting.
SELECT project, run_id, max(isNotNull(end_time) AND (layer = 'run' OR parent_span_id = '')) AS is_over
FROM span_rows
WHERE writer_id = {writer_id:UInt64} AND batch = {batch:UInt64} AND NOT is_infrastructure AND has({resting:Array(Tuple(String, String))}, (project, run_id))
GROUP BY project, run_id
