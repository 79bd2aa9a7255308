-- What the harness around one agent did, in equal slices of time; slices in which it did nothing are left out.
SELECT
    toStartOfInterval(start_time, toIntervalSecond({slice_s:UInt32}), 'UTC') AS slice,
    ${harness_counters}
FROM ${harness_spans}
GROUP BY slice
ORDER BY slice
