-- One row a span: the last write wins, wherever and whenever the writes arrived.
CREATE OR REPLACE VIEW spans ${on_cluster} AS
SELECT * FROM span_rows FINAL;

-- One row a run. A run that has not ended is `running` while its client gives signs of life; a client
-- that reports open spans is given up after a minute of silence, any other after ten.
CREATE OR REPLACE VIEW runs ${on_cluster} AS
SELECT
    run_id, project, agent, service, version, code_version, name,
    started_at, ended_at,
    -- until now while it runs, until the last sign of life when it was interrupted
    multiIf(
        isNotNull(ended_at) OR NOT heartbeat, duration_ns,
        last_seen_at < now64(9) - toIntervalSecond(60), greatest(duration_ns, toUInt64(greatest(0, toUnixTimestamp64Nano(last_seen_at) - toUnixTimestamp64Nano(started_at)))),
        greatest(duration_ns, toUInt64(greatest(0, toUnixTimestamp64Nano(now64(9)) - toUnixTimestamp64Nano(started_at))))
    ) AS duration_ns,
    waiting_ns,
    if(
        outcome = 'running' AND last_seen_at < now64(9) - if(heartbeat, toIntervalSecond(60), toIntervalSecond(600)),
        'interrupted',
        outcome
    ) AS outcome,
    stop_reason, goal, input, output, error_type, trigger, entrypoint,
    span_count, spans_made, error_count, model_calls, tool_calls, tools, models,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
    cost_usd, unpriced_calls, session_id, user_id, customer, tags, layer_counts,
    root_span_id, last_seen_at
FROM run_rows FINAL;
