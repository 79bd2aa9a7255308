-- Writes the pending spans of batches again, priced: same key, same version, so they replace themselves.
-- Parameters: writer_id, batches.
INSERT INTO span_rows
WITH
    ${prices},
    toInt64(toUnixTimestamp(start_time)) AS priced_at_s,
    ${pricing}
SELECT * EXCEPT (price_at, rates) REPLACE (
    called_usd AS cost_usd,
    if(cost_state = 'pending', 'unknown_price', cost_state) AS cost_status,
    if(layer = 'model', called_saved_usd, saved_usd) AS saved_usd,
    if(cost_state = 'priced', rate.price_id, '') AS price_id
)
FROM
(
    SELECT
        *,
        transform(concat(provider, '\n', model), listed_models, arrayEnumerate(listed_models), 0) AS price_at,
        listed_rates[greatest(price_at, 1)] AS rates
    FROM span_rows FINAL
    WHERE writer_id = {writer_id:UInt64} AND batch IN {batches:Array(UInt64)} AND cost_status = 'pending'
)
