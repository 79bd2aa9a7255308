(
    -- The runs that started in a time; of several versions of a run that are not merged yet, the latest.
    SELECT
        run_id, agent AS run_agent, ${outcome_now} AS outcome_now, started_at, ${duration_now} AS took_ns, waiting_ns, cost_usd, unpriced_calls,
        version, code_version, goal, trigger, span_count, spans_made, model_calls, tool_calls
    FROM run_rows FINAL
    WHERE project = {project:String} AND started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
        AND ({agent:String} = '' OR agent = {agent:String})
) AS runs_of_window
