-- Recomputes the runs that one batch of spans touched, from all their spans.
--
-- Parameters: writer_id, batch. A run is computed, not summed: tokens and dollars are counted on model
-- calls alone (agent and step spans repeat their children's totals), and a model call inside a model call
-- is a second view of the same one (clients that report themselves under another instrumentation).
INSERT INTO run_rows (
    writer_id, batch, computed_at_ns, last_seen_at, heartbeat, project, run_id, root_span_id, agent, service, version, code_version,
    entrypoint, trigger, name, started_at, ended_at, duration_ns, waiting_ns, outcome, stop_reason, goal, input, output, error_type,
    span_count, spans_made, error_count, model_calls, tool_calls, tools, models,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_usd, unpriced_calls,
    session_id, user_id, customer, tags, layer_counts
)
WITH
    touched AS (
        SELECT DISTINCT project, run_id FROM span_rows WHERE writer_id = {writer_id:UInt64} AND batch = {batch:UInt64}
    ),
    model_spans AS (
        SELECT project, run_id, span_id, parent_span_id FROM span_rows FINAL
        WHERE (project, run_id) IN (SELECT project, run_id FROM touched) AND layer = 'model'
    ),
    -- model calls whose parent, or the parent's parent, is a model call too
    second_views AS (
        SELECT child.project AS project, child.run_id AS run_id, child.span_id AS span_id
        FROM model_spans AS child
        INNER JOIN model_spans AS parent
            ON child.project = parent.project AND child.run_id = parent.run_id AND child.parent_span_id = parent.span_id
    ),
    -- how much a span looks like the run itself: 0 the run span, 1 a root, 2 anything; noise last
    multiIf(layer = 'run', 0, parent_span_id = '' AND NOT is_infrastructure, 1, is_infrastructure, 3, 2) AS rank,
    layer = 'model' AND (project, run_id, span_id) NOT IN (SELECT project, run_id, span_id FROM second_views) AS is_call
SELECT
    {writer_id:UInt64}, {batch:UInt64}, toUInt64(toUnixTimestamp64Nano(now64(9))),
    max(received_at), countIf(mapContains(attributes, 'tacho.layer')) > 0,
    project, run_id,
    argMin(span_id, (rank, start_time)),
    ifNull(nullIf(argMinIf(agent, (rank, start_time), agent != ''), ''), argMin(service, (rank, start_time))) AS agent_name,
    argMinIf(service, (rank, start_time), service != ''),
    coalesce(nullIf(argMinIf(attributes['gen_ai.agent.version'], (rank, start_time), attributes['gen_ai.agent.version'] != ''), ''),
        argMinIf(service_version, (rank, start_time), service_version != '')),
    argMinIf(attributes['tacho.run.code_version'], start_time, attributes['tacho.run.code_version'] != ''),
    argMinIf(attributes['tacho.run.entrypoint'], start_time, attributes['tacho.run.entrypoint'] != ''),
    argMinIf(attributes['tacho.run.trigger'], start_time, attributes['tacho.run.trigger'] != ''),
    argMin(name, (rank, start_time)),
    min(start_time) AS started,
    -- the last attempt decides: a run that was resumed has several run spans. The tuple keeps a null end: an
    -- aggregate would skip it and take an ended child's
    if(min(rank) <= 1, argMax(tuple(end_time), (-rank, start_time)).1, NULL) AS ended,
    toUInt64(greatest(0, toUnixTimestamp64Nano(ifNull(ended, max(start_time + toIntervalNanosecond(duration_ns)))) - toUnixTimestamp64Nano(started))),
    sum(toUInt64OrZero(attributes['tacho.waiting_ns'])),
    multiIf(
        isNull(ended), 'running',
        argMaxIf(attributes['tacho.run.outcome'], start_time, attributes['tacho.run.outcome'] != '') AS outcome_said IN ('success', 'failure', 'stopped'), outcome_said,
        argMax(status, (-rank, start_time)) = 'error', 'failure',
        countIf(layer = 'stop') > 0, 'stopped',
        'success'
    ),
    coalesce(
        nullIf(argMaxIf(attributes['tacho.run.stop_reason'], start_time, attributes['tacho.run.stop_reason'] != ''), ''),
        nullIf(argMaxIf(attributes['tacho.reason'], start_time, layer = 'stop'), ''),
        nullIf(argMaxIf(status_message, (-rank, start_time), status = 'error' AND rank <= 1), ''),
        ''),
    argMinIf(attributes['tacho.run.goal'], start_time, attributes['tacho.run.goal'] != ''),
    argMin(input, (rank, start_time)),
    argMax(output, (-rank, start_time)),
    argMaxIf(error_type, (-rank, start_time), rank <= 1),
    count(),
    nullIf(sum(toUInt64OrZero(attributes['tacho.run.spans_made'])), 0),
    countIf(status = 'error'),
    countIf(is_call),
    countIf(layer = 'tool'),
    arraySort(groupUniqArrayIf(tool, layer = 'tool' AND tool != '')),
    arraySort(groupUniqArrayIf(model, is_call AND model != '')),
    sumOrNullIf(input_tokens, is_call), sumOrNullIf(output_tokens, is_call), sumOrNullIf(cache_read_tokens, is_call),
    sumOrNullIf(cache_write_tokens, is_call), sumOrNullIf(reasoning_tokens, is_call),
    sumOrNullIf(cost_usd, is_call),
    -- a call that failed and reports no usage costs nothing: an unknown model, a refused request
    countIf(is_call AND cost_status != 'priced' AND NOT (status = 'error' AND cost_status = 'no_usage')),
    argMinIf(session_id, (rank, start_time), session_id != ''),
    argMinIf(user_id, (rank, start_time), user_id != ''),
    argMinIf(customer, (rank, start_time), customer != ''),
    arraySort(arrayDistinct(arrayFlatten(groupArrayIf(JSONExtract(attributes['tacho.run.tags'], 'Array(String)'), attributes['tacho.run.tags'] != '')))),
    CAST(sumMap([layer], [toUInt64(1)]), 'Map(LowCardinality(String), UInt64)')
FROM span_rows FINAL
WHERE (project, run_id) IN (SELECT project, run_id FROM touched)
GROUP BY project, run_id
-- transport noise alone is no run
HAVING countIf(NOT is_infrastructure) > 0
