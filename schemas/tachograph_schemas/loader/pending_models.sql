-- The models of batches that have no row in the price table yet.
SELECT DISTINCT provider, model
FROM span_rows
WHERE writer_id = {writer_id:UInt64} AND batch IN {batches:Array(UInt64)} AND cost_status = 'pending'
    AND (provider, model) NOT IN (SELECT provider, model FROM model_rates)
