-- One page of the list of runs. The ORDER BY is one of queries.ORDERS.
SELECT ${run_list_columns}
FROM runs
WHERE ${run_filter}
ORDER BY ${order}, run_id
LIMIT {limit:UInt32} OFFSET {offset:UInt32}
