-- Finished runs with what their rows say about drift, in the order in which they became known; those of one computation in
-- the order of their ends.
SELECT ${drift_run_columns}
FROM run_rows
WHERE ${drift_which}
ORDER BY computed_at_ns, ended_ns, project, run_id
LIMIT 1 BY project, run_id
LIMIT {limit:UInt32}
