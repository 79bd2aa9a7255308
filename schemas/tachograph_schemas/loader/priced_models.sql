-- What the model calls since a time cost by model, as it is stored now. Parameter: since.
SELECT model, count() AS calls, sum(ifNull(cost_usd, 0)) AS cost_usd, countIf(cost_status != 'priced') AS unpriced
FROM span_rows FINAL
WHERE layer = 'model' AND start_time >= {since:DateTime64(9, 'UTC')}
GROUP BY model ORDER BY model
