-- What a time cost, by one property of the runs that began in it, the dearest first. A run counts for every tool it used;
-- everything else is disjoint. ${cost_group} is the property; calls are counted once.
SELECT
    ${cost_group} AS key, uniqExact(run_id) AS runs, uniqExactIf(run_id, outcome = 'success') AS succeeded,
    sum(call_cost) AS cost_usd, sumIf(call_cost, outcome IN ('failure', 'interrupted')) AS failed_cost_usd,
    count(call_at) AS calls, countIf(isNotNull(call_at) AND call_status != 'priced') AS unpriced_calls,
    sum(ifNull(call_input, 0)) AS input_tokens, sum(ifNull(call_read, 0)) AS cache_read_tokens, sum(ifNull(call_written, 0)) AS cache_write_tokens,
    sum(ifNull(call_output, 0)) AS output_tokens, sum(call_said) AS client_cost_usd
FROM
(
    SELECT
        run_id, outcome, agent, customer, user_id, session_id, version, tools, call.1 AS call_at, call.2 AS call_model, call.3 AS call_cost,
        call.4 AS call_status, call.5 AS call_input, call.6 AS call_read, call.7 AS call_written, call.8 AS call_output, call.9 AS call_said,
        call.10 AS call_span
    FROM
    (
        -- A run without calls is one row, of no call.
        SELECT
            run_id, outcome, agent, customer, user_id, session_id, version, tools,
            arrayJoin(if(empty(calls.span_id), [CAST((NULL, '', NULL, '', NULL, NULL, NULL, NULL, NULL, ''), ${call_type})],
                arrayMap(
                    (at, model, cost, status, fresh, read, written, out, said, span) ->
                        CAST((at, model, cost, status, fresh, read, written, out, said, span), ${call_type}),
                    calls.started_at, calls.model, calls.cost_usd, calls.cost_status, calls.input_tokens, calls.cache_read_tokens, calls.cache_write_tokens,
                    calls.output_tokens, calls.client_cost_usd, calls.span_id
                )
            )) AS call
        FROM run_rows FINAL
        WHERE project = {project:String} AND started_at >= {since:DateTime64(9, 'UTC')}
    )
) AS called
${cost_place}
GROUP BY key
ORDER BY cost_usd DESC NULLS LAST, runs DESC, key
LIMIT {limit:UInt32}
