-- One span, whole.
SELECT ${span_columns}
FROM ${spans_of_run}
${second_views}
WHERE span_id = {span_id:String}
LIMIT 1
