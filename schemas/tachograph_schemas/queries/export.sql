-- Every span of a run, whole, oldest first: what "download as JSON" gives.
SELECT ${span_columns}
FROM ${spans_of_run}
${second_views}
ORDER BY start_time, span_id
