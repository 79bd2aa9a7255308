-- What the spans of the same page of runs say about drift; calls that two clients show count once.
SELECT ${drift_span_columns}
FROM span_rows FINAL
PREWHERE (project, run_id) IN (SELECT project, run_id FROM ${drift_which})
WHERE received_at >= fromUnixTimestamp64Nano({from_ns:Int64}, 'UTC')
    AND (project, run_id, span_id) NOT IN (
        SELECT project, run_id, arrayJoin(second_views.span_id) FROM run_rows WHERE (project, run_id) IN (SELECT project, run_id FROM ${drift_which})
    )
GROUP BY project, run_id
