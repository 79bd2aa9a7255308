-- Writes model calls of one day of receipt again, priced anew: same key, same version, so they replace themselves.
-- What no list knows any more keeps what it was priced with. Parameters: day, since.
INSERT INTO span_rows
WITH
    ${prices},
    toInt64(toUnixTimestamp(start_time)) AS priced_at_s,
    ${pricing}
SELECT * EXCEPT (price_at, rates) REPLACE (
    called_usd AS cost_usd, 'priced' AS cost_status, rate.price_id AS price_id, called_saved_usd AS saved_usd
)
FROM
(
    SELECT
        *,
        transform(concat(provider, '\n', model), listed_models, arrayEnumerate(listed_models), 0) AS price_at,
        listed_rates[greatest(price_at, 1)] AS rates
    FROM span_rows FINAL
    WHERE toDate(received_at, 'UTC') = {day:Date} AND start_time >= {since:DateTime64(9, 'UTC')} AND layer = 'model'
)
WHERE cost_state = 'priced' AND has_price
