-- On which days the model calls since a time were received, and under which names. Parameter: since.
SELECT toDate(received_at, 'UTC') AS day, groupUniqArray((toString(provider), toString(model))) AS names
FROM span_rows
WHERE layer = 'model' AND model != '' AND start_time >= {since:DateTime64(9, 'UTC')}
GROUP BY day ORDER BY day
