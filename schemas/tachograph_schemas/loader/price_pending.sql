-- Writes the pending spans of a batch again, priced: same key, same version, so they replace themselves.
-- Parameters: writer_id, batch.
INSERT INTO span_rows
WITH
    ${pricing}
SELECT span.* REPLACE (
    if(cost_state = 'priced', priced_usd, NULL) AS cost_usd,
    if(cost_state = 'pending', 'unknown_price', cost_state) AS cost_status,
    if(cost_state = 'priced', price.price_id, '') AS price_id
)
FROM (SELECT * FROM span_rows FINAL WHERE writer_id = {writer_id:UInt64} AND batch = {batch:UInt64} AND cost_status = 'pending') AS span
LEFT ANY JOIN (SELECT * FROM model_prices FINAL) AS price ON span.provider = price.provider AND span.model = price.model
