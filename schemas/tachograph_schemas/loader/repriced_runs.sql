-- The runs with model calls since a time. Parameter: since.
SELECT DISTINCT project, run_id FROM span_rows
WHERE layer = 'model' AND start_time >= {since:DateTime64(9, 'UTC')}
