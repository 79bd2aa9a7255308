-- How far a page of runs reaches: until which computation, and when the first of them began. Few small columns are read.
SELECT max(computed_at_ns) AS reach_ns, count() AS runs, min(toUnixTimestamp64Nano(started_at)) AS from_ns
FROM
(
    SELECT computed_at_ns, started_at FROM run_rows
    WHERE ${drift_which}
    ORDER BY computed_at_ns
    LIMIT {limit:UInt32}
)
