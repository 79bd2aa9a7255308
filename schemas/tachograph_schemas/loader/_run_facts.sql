-- What the spans of a run say about it, one row a run of `recomputed`, in the order of the insert's columns
SELECT
    -- one that is known to be dead was last seen at its last step, whenever its spans were recovered
    if(said_interrupted, last_end, seen_at), has_heartbeat AND NOT said_interrupted, project, run_id, head.1, ifNull(nullIf(first_agent, ''), head.2) AS agent_name, first_service,
    coalesce(nullIf(arrayFirst(x -> x.3['gen_ai.agent.version'] != '', arraySort(x -> (x.2, x.1), said)).3['gen_ai.agent.version'], ''), first_version),
    arrayFirst(x -> x.3['tacho.run.code_version'] != '', said).3['tacho.run.code_version'],
    arrayFirst(x -> x.3['tacho.run.entrypoint'] != '', said).3['tacho.run.entrypoint'],
    arrayFirst(x -> x.3['tacho.run.trigger'] != '', said).3['tacho.run.trigger'],
    head.3, started,
    -- the last attempt decides: a run that was resumed has several run spans. The tuple keeps a null end: an
    -- aggregate would skip it and take an ended child's
    if(least_rank <= 1, tail.1, NULL) AS ended,
    toUInt64(greatest(0, toUnixTimestamp64Nano(ifNull(ended, last_end)) - toUnixTimestamp64Nano(started))),
    -- Waiting is what a person took, and what passed between two attempts. An approval may say that it took longer
    -- than it was open: then the rest lies between the attempts, and is not counted twice.
    toUInt64(arraySum(x -> least(toUInt64OrZero(x.3['tacho.waiting_ns']), x.5), said)
        + greatest(between_ns, arraySum(x -> greatest(0, toInt64(toUInt64OrZero(x.3['tacho.waiting_ns'])) - toInt64(x.5)), said))),
    multiIf(
        -- said by whoever recovered what a dead process left; of the last attempt, as a resumed run goes on
        isNull(ended) AND arrayLast(x -> x.2 = 0, said).3['tacho.run.outcome'] = 'interrupted' AS said_interrupted, 'interrupted',
        isNull(ended), 'running',
        arrayLast(x -> x.3['tacho.run.outcome'] != '', said).3['tacho.run.outcome'] AS outcome_said IN ('success', 'failure', 'stopped'), outcome_said,
        tail.2 = 'error', 'failure',
        stops > 0, 'stopped',
        'success'
    ),
    coalesce(
        -- of the last attempt alone: an earlier one that paused does not say why this one ended
        nullIf(arrayLast(x -> x.2 = least_rank, said).3['tacho.run.stop_reason'], ''),
        nullIf(arrayLast(x -> x.4 = 'stop' AND (empty(attempts) OR x.1 >= attempts.1[-1]), said).3['tacho.reason'], ''),
        if(least_rank <= 1 AND tail.2 = 'error', tail.3, '')),
    arrayFirst(x -> x.3['tacho.run.goal'] != '', said).3['tacho.run.goal'],
    head.4, tail.4, if(least_rank <= 1, tail.5, ''),
    -- an attempt that was killed did not say how many it made
    spans, if(least_rank = 0 AND unended > 0, NULL, nullIf(arraySum(x -> toUInt64OrZero(x.3['tacho.run.spans_made']), said), 0)), errors,
    first_session, first_user, first_customer, all_tags, layers,
    beside, beside_people, saved, odd_spans, plain_calls, plain_totals, plain_tool_calls, plain_tool_errors, plain_tools
FROM
(
    WITH
        -- how much a span looks like the run itself: 0 the run span, 1 a root, 2 anything; noise last
        multiIf(layer = 'run', 0, parent_span_id = '' AND NOT is_infrastructure, 1, is_infrastructure, 3, 2) AS rank,
        mapFilter(
            (key, value) -> key IN (
                'gen_ai.agent.version', 'tacho.reason', 'tacho.waiting_ns', 'tacho.run.code_version', 'tacho.run.entrypoint', 'tacho.run.trigger',
                'tacho.run.outcome', 'tacho.run.stop_reason', 'tacho.run.goal', 'tacho.run.spans_made'
            ) AND value != '',
            attributes
        ) AS facts,
        toInt64OrZero(attributes['tacho.alive_unix_ns']) AS alive_ns, fromUnixTimestamp64Nano(alive_ns, 'UTC') AS alive_at
    SELECT
        project, run_id, max(received_at) AS seen_at, max(mapContains(attributes, 'tacho.layer')) > 0 AS has_heartbeat,
        min(rank) AS least_rank,
        argMin((span_id, service, name, input), (rank, start_time)) AS head,
        argMax((end_time, status, status_message, output, error_type), (-rank, start_time)) AS tail,
        arraySort(x -> x.1, groupArrayIf((start_time, rank, facts, layer, duration_ns), notEmpty(facts))) AS said,
        -- the attempts of a run that was resumed; one that was killed ended when it was last heard of
        arraySort(groupArrayIf((start_time, if(isNull(end_time), if(alive_ns = 0, received_at, alive_at), start_time + toIntervalNanosecond(duration_ns))), layer = 'run')) AS attempts,
        arraySum(
            (begun, ended_before) -> greatest(0, toUnixTimestamp64Nano(begun) - toUnixTimestamp64Nano(ended_before)),
            attempts.1, arrayShiftRight(attempts.2, 1, attempts.1[1])
        ) AS between_ns,
        argMinIf(agent, (rank, start_time), agent != '') AS first_agent,
        argMinIf(service, (rank, start_time), service != '') AS first_service,
        argMinIf(service_version, (rank, start_time), service_version != '') AS first_version,
        argMinIf(session_id, (rank, start_time), session_id != '') AS first_session,
        argMinIf(user_id, (rank, start_time), user_id != '') AS first_user,
        argMinIf(customer, (rank, start_time), customer != '') AS first_customer,
        min(start_time) AS started, max(greatest(start_time + toIntervalNanosecond(duration_ns), alive_at)) AS last_end,
        countIf(layer = 'run' AND isNull(end_time)) AS unended, countIf(layer = 'stop') AS stops, count() AS spans,
        -- a retry or a fallback names the failure that it answers to, and that one is counted where it happened
        countIf(status = 'error' AND layer NOT IN ('retry', 'fallback')) AS errors,
        arraySort(groupUniqArrayArray(tags)) AS all_tags,
        sum(tool_cost_usd) AS beside, sum(human_cost_usd) AS beside_people, sum(saved_usd) AS saved, groupArrayIf(span_id, odd_usage != '') AS odd_spans,
        CAST(sumMap([layer], [toUInt64(1)]), 'Map(LowCardinality(String), UInt64)') AS layers,
        -- as if every span showed something of its own
        arraySort(x -> (x.2, x.1), groupArrayIf(
            (span_id, start_time, agent, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_usd, cost_status, client_cost_usd),
            layer = 'model'
        )) AS plain_calls,
        -- a call that failed and reports no usage costs nothing: an unknown model, a refused request
        arrayFilter(x -> x.2 != 'priced' AND NOT (x.1 = 'error' AND x.2 = 'no_usage'), groupArrayIf((status, cost_status), layer = 'model')) AS unpriced,
        (
            arrayReduce('sumOrNull', plain_calls.6), arrayReduce('sumOrNull', plain_calls.7), arrayReduce('sumOrNull', plain_calls.8),
            arrayReduce('sumOrNull', plain_calls.9), arrayReduce('sumOrNull', plain_calls.10), arrayReduce('sumOrNull', plain_calls.11),
            length(unpriced), arrayReduce('sumOrNull', plain_calls.13)
        ) AS plain_totals,
        countIf(layer = 'tool') AS plain_tool_calls,
        countIf(layer = 'tool' AND status = 'error') AS plain_tool_errors,
        arraySort(arrayDistinct(arrayMap(t -> replaceRegexpOne(t, '^mcp__.*__', ''), groupUniqArrayIf(tool, layer = 'tool' AND tool != '')))) AS plain_tools
    -- Said to be read first: with FINAL the engine would else read every column of whatever lies near the runs. Only what
    -- all writes of a span have in common, its key, may be asked before they are replaced.
    FROM span_rows FINAL
    PREWHERE (project, run_id) IN (SELECT project, run_id FROM recomputed)
    GROUP BY project, run_id
    -- transport noise alone is no run
    HAVING countIf(NOT is_infrastructure) > 0
)
