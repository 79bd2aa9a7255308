-- Model calls and tool executions of the runs in `doubtful`, each with every span that shows it. Read from the
-- bottom: each section is a SELECT around the one below it. A place is a hash of (project, run, trace, span).
--
-- 7. by run: its calls, its executions, and which of its spans show what another span shows already
SELECT
    project,
    member.1 AS run_id,
    arraySort(x -> (x.2, x.1), groupArrayIf(call, is_call AND layer = 'model')) AS calls,
    (
        sumOrNullIf(call.6, is_call), sumOrNullIf(call.7, is_call), sumOrNullIf(call.8, is_call), sumOrNullIf(call.9, is_call), sumOrNullIf(call.10, is_call),
        sumOrNullIf(call.11, is_call), countIf(is_call AND layer = 'model' AND call.12 != 'priced' AND NOT (failed AND call.12 = 'no_usage')), sumOrNullIf(call.13, is_call)
    ) AS totals,
    countIf(is_call AND layer = 'tool') AS tool_calls,
    countIf(is_call AND layer = 'tool' AND failed) AS tool_errors,
    arraySort(groupUniqArrayIf(tool, is_call AND layer = 'tool' AND tool != '')) AS tools,
    arraySort(groupArrayIf((member.2, main.1, main.2), NOT is_call)) AS second_views
FROM
(
    SELECT *, arrayJoin(members) AS member, member = main AS is_call
    FROM
    (
        -- 6. by call: what it is comes from its main span, its usage from the span that knows best: the provider's own
        -- client before an instrumentation of it, then who knows most classes of tokens
        SELECT
            project, layer, groupArray((run_id, span_id)) AS members, max(has_failed) AS failed,
            argMax((run_id, span_id, facts.1, facts.2, facts.3, facts.4), own = place) AS main_facts, (main_facts.1, main_facts.2) AS main, main_facts.3 AS tool,
            argMax((usage, facts.3, facts.4), (classes > 0, startsWith(scope, 'com.anthropic.sdk'), classes, own = place, -toUnixTimestamp64Nano(started))) AS best,
            ifNull(best.1.6, max(usage.6)) AS call_cost,
            (
                main_facts.2, min(started), main_facts.4, if(main_facts.5 = '', best.2, main_facts.5), if(main_facts.6 = '', best.3, main_facts.6),
                best.1.1, best.1.2, best.1.3, best.1.4, ifNull(best.1.5, max(usage.5)), call_cost, if(isNull(call_cost), best.1.7, 'priced'), max(usage.8)
            ) AS call
        FROM
        (
            -- 5. what is inside of a second view goes with it
            SELECT * EXCEPT (place), max(if(own = outer_place, place, 0)) OVER (PARTITION BY outer_place) AS place
            FROM
            (
                -- 4. The same call seen by another scope within the same time, one of:
                --   the same answer, in whichever run (test servers answer every call with one id: the id alone proves nothing);
                --   an answer without an id in the same run, of the same model and tokens;
                --   the execution of a tool, which MCP shows once more beside it.
                -- And Logfire ends the span of a stream at its first byte; the usage is in a log after it.
                SELECT
                    * EXCEPT (answer_key, alike_key, stream_key),
                    lagInFrame((ended, scope, outer_place, answer, is_log), 1) OVER by_answer AS answer_before,
                    lagInFrame((ended, scope, outer_place, answer, is_log), 2) OVER by_answer AS answer_before_it,
                    lagInFrame((ended, scope, outer_place, answer, is_log), 1) OVER by_likeness AS alike_before,
                    lagInFrame((ended, scope, outer_place, answer, is_log), 1) OVER by_stream AS stream_before,
                    multiIf(
                        answer_before_it.1 >= started AND answer_before_it.2 != scope, answer_before_it.3,
                        answer_before.1 >= started AND answer_before.2 != scope, answer_before.3,
                        is_log AND stream_before.3 != 0 AND NOT stream_before.5, stream_before.3,
                        alike_before.1 >= if(layer = 'model', ended, started) AND alike_before.2 != scope AND (layer = 'tool' OR answer = '' OR alike_before.4 = ''), alike_before.3,
                        own
                    ) AS place
                FROM
                (
                    -- 3. the answer that any of a call's spans knows, and under which keys to look for its like
                    SELECT
                        *,
                        max(response_id) OVER (PARTITION BY outer_place) AS answer,
                        if(own = outer_place AND answer != '', cityHash64(project, layer, answer), own) AS answer_key,
                        if(own = outer_place AND NOT is_stream AND (layer = 'model' OR is_shared_tool), likeness, own) AS alike_key,
                        if(is_stream, stream, own) AS stream_key
                    FROM
                    (
                        -- 2. A call without usage around several calls with different answers is no call but what contains them.
                        SELECT
                            * EXCEPT (outermost),
                            uniqIf(response_id, response_id != '' AND classes > 0) OVER (PARTITION BY outermost) > 1
                                AND max(own = outermost AND (classes > 0 OR response_id != '')) OVER (PARTITION BY outermost) = 0 AS is_contained,
                            multiIf(NOT is_contained, outermost, own = outermost, argMinIf(own, started, response_id != '') OVER (PARTITION BY outermost), own) AS outer_place,
                            max(startsWith(name, 'tools/call')) OVER (PARTITION BY likeness) AS is_shared_tool
                        FROM
                        (
                            SELECT steps.*, if(climbed.outermost = 0, own, climbed.outermost) AS outermost
                            FROM
                            (
                                SELECT
                                    project, run_id, span_id, layer, scope, name, response_id, cityHash64(project, run_id, trace_id, span_id) AS own,
                                    (replaceRegexpOne(tool, '^mcp__.*__', ''), agent, provider, model) AS facts, status = 'error' AS has_failed,
                                    start_time AS started, start_time + toIntervalNanosecond(duration_ns) AS ended,
                                    (input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_usd, cost_status, client_cost_usd) AS usage,
                                    isNotNull(input_tokens) + isNotNull(output_tokens) + isNotNull(cache_read_tokens) + isNotNull(cache_write_tokens) + isNotNull(reasoning_tokens) AS classes,
                                    cityHash64(project, run_id, layer, facts.1, model, ifNull(input_tokens, 0) + ifNull(cache_read_tokens, 0) + ifNull(cache_write_tokens, 0), ifNull(output_tokens, 0)) AS likeness,
                                    duration_ns = 0 AND startsWith(scope, 'logfire') AS is_log,
                                    layer = 'model' AND startsWith(scope, 'logfire') AND (is_log OR (classes = 0 AND NOT has_failed)) AS is_stream,
                                    cityHash64(project, run_id, trace_id, parent_span_id, request_model) AS stream
                                FROM span_rows FINAL
                                -- The runs that the condition below can mean, by their key: else all spans would be read
                                PREWHERE (project, run_id) IN (
                                    SELECT project, run_id FROM doubtful
                                    UNION DISTINCT
                                    SELECT project, run_id FROM span_rows
                                    WHERE start_time BETWEEN nearby.1 AND nearby.2 AND response_id != '' AND (project, response_id) IN (
                                        SELECT project, response_id FROM span_rows WHERE response_id != '' AND (project, run_id) IN (SELECT project, run_id FROM doubtful)
                                    )
                                )
                                WHERE layer IN ('model', 'tool') AND (
                                    (project, run_id) IN (SELECT project, run_id FROM doubtful)
                                    -- and what other runs tell of the same answers
                                    OR (start_time BETWEEN nearby.1 AND nearby.2 AND response_id != '' AND (project, response_id) IN (
                                        SELECT project, response_id FROM span_rows WHERE response_id != '' AND (project, run_id) IN (SELECT project, run_id FROM doubtful)
                                    ))
                                )
                            ) AS steps
                            LEFT JOIN
                            (
                                -- 1. from each call upwards to the outermost call it is inside of. What acts on its own ends the
                                -- climb: a call inside a tool or an agent is a call of its own. 64 steps, so that a circle ends too.
                                WITH RECURSIVE climb AS
                                (
                                    SELECT own, layer, tool, own AS outermost, above, 0 AS height
                                    FROM links WHERE layer IN ('model', 'tool')
                                    UNION ALL
                                    SELECT
                                        climb.own, climb.layer, if(climb.tool = '', parent.tool, climb.tool), if(parent.layer = climb.layer, parent.own, climb.outermost),
                                        parent.above, climb.height + 1
                                    FROM climb
                                    INNER JOIN links AS parent ON climb.above = parent.own
                                    WHERE climb.height < 64 AND multiIf(
                                        parent.layer = 'model', climb.layer = 'model',
                                        parent.layer = 'tool', climb.layer = 'tool' AND (climb.tool = '' OR climb.tool = parent.tool),
                                        parent.layer NOT IN ('run', 'agent', 'retrieval', 'memory', 'handoff', 'eval')
                                    )
                                )
                                SELECT own, argMax(outermost, height) AS outermost FROM climb GROUP BY own
                            ) AS climbed USING (own)
                        )
                    )
                )
                WINDOW
                    by_answer AS (PARTITION BY answer_key ORDER BY started, ended DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
                    by_likeness AS (PARTITION BY alike_key ORDER BY started, ended DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
                    by_stream AS (PARTITION BY stream_key ORDER BY started, ended DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
            )
        )
        GROUP BY project, place, layer
    )
)
GROUP BY project, run_id
