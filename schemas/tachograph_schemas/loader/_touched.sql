${touched_runs},
-- Another run may show a call of these runs; which of them counts it is decided for both at once. Looked for near in
-- time only, so that old data is not read.
(
    SELECT (min(start_time) - toIntervalHour(1), max(start_time) + toIntervalHour(1))
    FROM span_rows WHERE response_id != '' AND (project, run_id) IN (SELECT project, run_id FROM touched)
) AS nearby,
shared AS (
    SELECT project, arrayJoin(groupUniqArray(run_id)) AS run_id FROM span_rows
    WHERE start_time BETWEEN nearby.1 AND nearby.2 AND response_id != '' AND (project, response_id) IN (
        SELECT project, response_id FROM span_rows WHERE response_id != '' AND (project, run_id) IN (SELECT project, run_id FROM touched)
    )
    GROUP BY project, response_id HAVING uniqExact(span_rows.run_id) > 1
),
-- Runs in which a span may show what another shows. Two views of one call overlap in time or come from two scopes;
-- one tool often runs several times at once, so of tools those count that are inside of one, and those without a name.
doubtful AS (
    SELECT project, run_id FROM shared
    UNION DISTINCT
    SELECT project, run_id FROM span_rows FINAL
    PREWHERE (project, run_id) IN (SELECT project, run_id FROM touched)
    WHERE layer IN ('model', 'tool')
    GROUP BY project, run_id
    HAVING uniqExact(scope) > 1
        OR countIf(layer = 'tool' AND tool = '') > 0
        OR bitmapHasAny(groupBitmapState(cityHash64(trace_id, span_id)), groupBitmapState(cityHash64(trace_id, parent_span_id)))
        OR arrayExists(
            (call, before) -> call.1 <= before.2,
            arraySort(groupArrayIf((start_time, start_time + toIntervalNanosecond(duration_ns)), layer = 'model')) AS in_order,
            arrayShiftRight(in_order, 1)
        )
)
