-- The latest version of some runs, those that match, in order. The ORDER BY is one of queries.ORDERS.
SELECT ${run_list_columns}, ${place} AS place
FROM
(
    SELECT * REPLACE (${outcome_now} AS outcome, ${duration_now} AS duration_ns)
    FROM
    (
        SELECT * FROM run_rows
        WHERE project = {project:String} AND run_id IN {run_ids:Array(String)}
        ORDER BY computed_at_ns DESC
        LIMIT 1 BY run_id
    )
)
WHERE ${run_filter}
    ${after}
ORDER BY ${order}, run_id
