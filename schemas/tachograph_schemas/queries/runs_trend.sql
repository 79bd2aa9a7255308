-- The runs that match the filter, in equal slices of time, oldest first; slices without runs included.
SELECT
    toStartOfInterval(started_at, toIntervalSecond({slice_s:UInt32}), 'UTC') AS slice,
    count() AS runs,
    countIf(outcome = 'success') AS succeeded,
    countIf(outcome IN ('failure', 'interrupted')) AS failed,
    sum(ifNull(cost_usd, 0)) AS slice_cost_usd,
    toUInt64(quantileExact(0.95)(duration_ns)) AS p95_ns
FROM runs
WHERE ${run_filter}
GROUP BY slice
ORDER BY slice WITH FILL
    FROM toStartOfInterval({since:DateTime64(9, 'UTC')}, toIntervalSecond({slice_s:UInt32}), 'UTC')
    TO now('UTC')
    STEP toIntervalSecond({slice_s:UInt32})
