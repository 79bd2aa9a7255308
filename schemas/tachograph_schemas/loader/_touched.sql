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
-- Runs in which a span may show what another shows. Two views of one call come from two scopes, or one is inside of the
-- other: right below it, or at the same time and below something that does not make it a call of its own. Of tools those
-- inside of one count, and those without a name. Logfire tells of a stream twice in one scope.
doubtful AS (
    SELECT project, run_id FROM shared
    UNION DISTINCT
    SELECT project, run_id FROM span_rows FINAL
    PREWHERE (project, run_id) IN (SELECT project, run_id FROM touched)
    WHERE layer IN ('model', 'tool', 'run', 'agent', 'retrieval', 'memory', 'handoff', 'eval')
    GROUP BY project, run_id
    HAVING uniqExactIf(scope, layer IN ('model', 'tool')) > 1
        OR countIf(layer = 'tool' AND tool = '') > 0
        OR countIf(layer = 'model' AND duration_ns = 0 AND startsWith(scope, 'logfire')) > 0
        OR bitmapHasAny(
            groupBitmapStateIf(cityHash64(trace_id, span_id), layer IN ('model', 'tool')),
            groupBitmapStateIf(cityHash64(trace_id, parent_span_id), layer IN ('model', 'tool'))
        )
        OR (
            bitmapAndnotCardinality(
                groupBitmapStateIf(cityHash64(trace_id, parent_span_id), layer = 'model' AND parent_span_id != ''),
                groupBitmapStateIf(cityHash64(trace_id, span_id), layer NOT IN ('model', 'tool'))
            ) > 0
            AND arrayExists(
                (call, before) -> call.1 <= before.2,
                arraySort(groupArrayIf((start_time, start_time + toIntervalNanosecond(duration_ns)), layer = 'model')) AS in_order,
                arrayShiftRight(in_order, 1)
            )
        )
)
