-- What the readable account is made of: the spans of a run that say something, payloads cut short.
SELECT ${account_columns}
FROM ${spans_of_run}
${second_views}
${calls_of_run}
WHERE layer != 'other'
ORDER BY start_time, span_id
LIMIT {limit:UInt32}
