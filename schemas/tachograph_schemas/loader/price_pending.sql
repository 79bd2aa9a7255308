-- Writes the pending spans of batches again, priced: same key, same version, so they replace themselves.
-- Parameters: writer_id, batches.
INSERT INTO span_rows
WITH
    ${prices},
    ${pricing}
SELECT * EXCEPT (price_at, price) REPLACE (
    if(cost_state = 'priced', priced_usd, NULL) AS cost_usd,
    if(cost_state = 'pending', 'unknown_price', cost_state) AS cost_status,
    if(cost_state = 'priced', price.1, '') AS price_id
)
FROM
(
    SELECT
        *,
        transform(concat(provider, '\n', model), listed_models, arrayEnumerate(listed_models), 0) AS price_at,
        listed_prices[greatest(price_at, 1)] AS price
    FROM span_rows FINAL
    WHERE writer_id = {writer_id:UInt64} AND batch IN {batches:Array(UInt64)} AND cost_status = 'pending'
)
