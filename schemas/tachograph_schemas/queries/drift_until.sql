-- Until which computation a page of runs reaches: few small columns are read, where the page itself would sort whole rows.
SELECT max(computed_at_ns) AS reach_ns FROM
(
    SELECT computed_at_ns FROM run_rows
    WHERE ${drift_which}
    ORDER BY computed_at_ns
    LIMIT {limit:UInt32}
)
