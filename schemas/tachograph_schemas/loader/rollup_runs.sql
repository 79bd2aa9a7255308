-- A run is computed, not summed: tokens and dollars are counted on calls alone (agent and step spans repeat their
-- children's totals), and a call that several spans show is counted once (docs/decisions/0007-second-views.md).
${runs_insert}
WITH
${touched},
    recomputed AS (SELECT project, run_id FROM touched UNION DISTINCT SELECT project, run_id FROM shared),
    links AS (
        SELECT
            cityHash64(project, run_id, trace_id, span_id) AS own, cityHash64(project, run_id, trace_id, parent_span_id) AS above,
            layer, replaceRegexpOne(tool, '^mcp__.*__', '') AS tool
        FROM span_rows FINAL
        PREWHERE (project, run_id) IN (SELECT project, run_id FROM doubtful)
    ),
    counted.run_id != '' AS is_doubtful,
    if(is_doubtful, counted.calls, plain_calls) AS calls,
    if(is_doubtful, counted.totals, plain_totals) AS totals,
    if(is_doubtful, counted.tool_calls, plain_tool_calls) AS tool_calls,
    if(is_doubtful, counted.tool_errors, plain_tool_errors) AS tool_errors,
    if(is_doubtful, counted.tools, plain_tools) AS tools,
    counted.second_views AS second_views
${run_columns}
FROM
(
${run_facts}
) AS run
LEFT JOIN
(
${calls}
) AS counted ON run.project = counted.project AND run.run_id = counted.run_id
-- A join that finds nothing must give defaults, whatever a server's profile says; and see ingest.py.
SETTINGS join_use_nulls = 0, optimize_and_compare_chain = 0, query_plan_merge_expressions = 0
