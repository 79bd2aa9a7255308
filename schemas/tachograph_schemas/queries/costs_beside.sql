-- What the runs of a time cost beside tokens, what caches saved them, and calls with odd numbers, by one property.
SELECT ${beside_group} AS key, sum(tool_cost_usd) AS tools_usd, sum(human_cost_usd) AS people_usd, sum(saved_usd) AS saved,
    -- a call that several spans show is one
    uniqExactIf((paid.run_id, if(has(seen, paid.span_id), shown[indexOf(seen, paid.span_id)], paid.span_id)), odd_usage != '') AS odd_calls
FROM
(
    SELECT run_id, span_id, model, tool, tool_cost_usd, human_cost_usd, saved_usd, odd_usage
    FROM span_rows FINAL
    PREWHERE project = {project:String} AND run_id IN (
        SELECT run_id FROM run_rows FINAL
        WHERE project = {project:String} AND started_at >= {since:DateTime64(9, 'UTC')}
            AND (odd_calls > 0 OR isNotNull(tool_cost_usd) OR isNotNull(human_cost_usd) OR isNotNull(saved_usd))
    )
    WHERE ${is_paid}
) AS paid
INNER JOIN
(
    SELECT run_id, agent, customer, user_id, session_id, version, second_views.span_id AS seen, second_views.of_span_id AS shown FROM run_rows FINAL
    WHERE project = {project:String} AND started_at >= {since:DateTime64(9, 'UTC')}
) AS of_run ON paid.run_id = of_run.run_id
${beside_place}
GROUP BY key
