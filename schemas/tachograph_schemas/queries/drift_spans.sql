-- What the spans of the same runs say about drift; calls that two clients show count once. Both bounds leave out the days
-- (partitions) on which nothing of these runs came.
SELECT ${drift_span_columns}
FROM span_rows FINAL
PREWHERE (project, run_id) IN (SELECT project, run_id FROM run_rows WHERE ${drift_which})
WHERE received_at >= fromUnixTimestamp64Nano({from_ns:Int64}, 'UTC') AND received_at <= fromUnixTimestamp64Nano({seen_ns:Int64}, 'UTC')
    AND (project, run_id, span_id) NOT IN (
        SELECT project, run_id, arrayJoin(second_views.span_id) FROM run_rows WHERE ${drift_which}
    )
GROUP BY project, run_id
