-- What the spans of a run say about it, one row a run of `recomputed`
WITH
    -- how much a span looks like the run itself: 0 the run span, 1 a root, 2 anything; noise last
    multiIf(layer = 'run', 0, parent_span_id = '' AND NOT is_infrastructure, 1, is_infrastructure, 3, 2) AS rank
SELECT
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
    argMinIf(session_id, (rank, start_time), session_id != ''),
    argMinIf(user_id, (rank, start_time), user_id != ''),
    argMinIf(customer, (rank, start_time), customer != ''),
    arraySort(groupUniqArrayArray(tags)),
    CAST(sumMap([layer], [toUInt64(1)]), 'Map(LowCardinality(String), UInt64)'),
    -- as if every span showed something of its own
    arraySort(x -> (x.2, x.1), groupArrayIf(
        (span_id, start_time, agent, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_usd, cost_status, client_cost_usd),
        layer = 'model'
    )) AS plain_calls,
    (
        sumOrNullIf(input_tokens, layer = 'model'), sumOrNullIf(output_tokens, layer = 'model'), sumOrNullIf(cache_read_tokens, layer = 'model'),
        sumOrNullIf(cache_write_tokens, layer = 'model'), sumOrNullIf(reasoning_tokens, layer = 'model'),
        sumOrNullIf(cost_usd, layer = 'model'),
        -- a call that failed and reports no usage costs nothing: an unknown model, a refused request
        countIf(layer = 'model' AND cost_status != 'priced' AND NOT (status = 'error' AND cost_status = 'no_usage')),
        sumOrNullIf(client_cost_usd, layer = 'model')
    ) AS plain_totals,
    countIf(layer = 'tool') AS plain_tool_calls,
    countIf(layer = 'tool' AND status = 'error') AS plain_tool_errors,
    arraySort(groupUniqArrayIf(replaceRegexpOne(tool, '^mcp__.*__', ''), layer = 'tool' AND tool != '')) AS plain_tools
FROM span_rows FINAL
WHERE (project, run_id) IN (SELECT project, run_id FROM recomputed)
GROUP BY project, run_id
-- transport noise alone is no run
HAVING countIf(NOT is_infrastructure) > 0
