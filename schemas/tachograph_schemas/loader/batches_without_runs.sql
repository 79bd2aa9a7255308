-- The batches whose runs are missing, all writers', oldest first: what is computed from spans can be computed again.
SELECT writer_id, batch
FROM span_rows
WHERE NOT is_infrastructure AND (project, run_id) NOT IN (SELECT project, run_id FROM run_rows)
GROUP BY writer_id, batch
ORDER BY min(received_at)
