-- The runs whose id starts with a text; two at most, so that an ambiguous prefix can be told.
SELECT ${run_columns}
FROM
(
    SELECT * REPLACE (${outcome_now} AS outcome, ${duration_now} AS duration_ns)
    FROM
    (
        SELECT * FROM run_rows
        WHERE project = {project:String} AND run_id IN (
            SELECT DISTINCT run_id FROM run_rows
            WHERE project = {project:String} AND startsWith(run_id, {run_id:String})
            ORDER BY run_id = {run_id:String} DESC, run_id
            LIMIT 2
        )
        ORDER BY computed_at_ns DESC
        LIMIT 1 BY run_id
    )
)
ORDER BY run_id = {run_id:String} DESC, started_at DESC
