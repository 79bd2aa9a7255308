-- Where to look for a page of the list: runs any version of which matches, with their place in the order. Versions
-- are not merged for that (merging half a million runs takes a hundred times as long); runs.sql then asks the latest
-- version of each. The ORDER BY is one of queries.ORDERS.
SELECT run_id, ${place} AS place
FROM run_rows
WHERE ${run_filter}
    ${after}
ORDER BY ${order}, run_id
LIMIT {limit:UInt32}
