-- A page of finished runs behind a cursor, with what their rows say about drift.
SELECT ${drift_run_columns}
FROM run_rows
WHERE (project, run_id, computed_at_ns) IN ${drift_which}
ORDER BY computed_at_ns, ended_ns, project, run_id
LIMIT 1 BY project, run_id
