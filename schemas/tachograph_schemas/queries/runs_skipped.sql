-- The ids of one page of the list, counted from its beginning.
SELECT run_id
FROM runs
WHERE ${run_filter}
ORDER BY ${order}, run_id
LIMIT {limit:UInt32} OFFSET {offset:UInt32}
