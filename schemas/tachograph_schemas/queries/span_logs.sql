-- The log records of a run, or of one of its spans, oldest first: those that name the run, and those of its traces.
-- Texts are cut to text_chars characters. Empty span_id: of all spans, and of none.
SELECT
    toUnixTimestamp64Nano(time) AS time_ns, trace_id, span_id, severity_number, severity, event_name,
    substringUTF8(body, 1, {text_chars:UInt32}) AS body_text, service, scope,
    mapApply((key, value) -> (key, substringUTF8(value, 1, {text_chars:UInt32})), attributes) AS facts
FROM log_rows FINAL
-- First their keys, each through an index of its own; then the records by key.
WHERE project = {project:String} AND (time, record_key) IN (
    SELECT time, record_key FROM log_rows
    WHERE project = {project:String} AND run_id = {run_id:String} AND ({span_id:String} = '' OR span_id = {span_id:String})
    UNION DISTINCT
    SELECT time, record_key FROM log_rows
    WHERE project = {project:String} AND ({span_id:String} = '' OR span_id = {span_id:String})
        AND trace_id IN (SELECT trace_id FROM span_rows WHERE project = {project:String} AND run_id = {run_id:String} AND trace_id != '')
)
ORDER BY time, record_key
LIMIT {limit:UInt32}
