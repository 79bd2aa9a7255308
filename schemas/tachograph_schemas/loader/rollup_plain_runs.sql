-- For batches without doubtful runs: every model span is a call, every tool span an execution.
${runs_insert}
WITH
${touched_runs},
    recomputed AS (SELECT project, run_id FROM touched),
    plain_calls AS calls, plain_totals AS totals, plain_tool_calls AS tool_calls, plain_tool_errors AS tool_errors, plain_tools AS tools,
    CAST([], 'Array(Tuple(String, String, String))') AS second_views
${run_columns}
FROM
(
${run_facts}
) AS run
SETTINGS optimize_and_compare_chain = 0
