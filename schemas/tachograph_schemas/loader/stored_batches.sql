-- The batches that hold those records.
SELECT DISTINCT batch
FROM span_rows
WHERE writer_id = {writer_id:UInt64} AND log_offset > {sequence:UInt64}
ORDER BY batch
