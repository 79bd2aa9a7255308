-- Recomputes the runs that batches of spans touched, from all their spans. Parameters: writer_id, batches, resting, rested.
INSERT INTO run_rows (
    writer_id, batch, computed_at_ns, last_seen_at, heartbeat, project, run_id, root_span_id, agent, service, version, code_version,
    entrypoint, trigger, name, started_at, ended_at, duration_ns, waiting_ns, outcome, stop_reason, goal, input, output, error_type,
    span_count, spans_made, error_count, session_id, user_id, customer, tags, layer_counts,
    model_calls, models, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
    cost_usd, unpriced_calls, client_cost_usd, tool_calls, tool_errors, tools,
    calls.span_id, calls.started_at, calls.agent, calls.provider, calls.model,
    calls.input_tokens, calls.output_tokens, calls.cache_read_tokens, calls.cache_write_tokens, calls.reasoning_tokens,
    calls.cost_usd, calls.cost_status, calls.client_cost_usd,
    second_views.span_id, second_views.of_run_id, second_views.of_span_id, odd_calls, tool_cost_usd, human_cost_usd, saved_usd
)
