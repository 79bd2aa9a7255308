-- One row a span: the last write wins, wherever and whenever the writes arrived.
-- `is_second_view` costs nothing unless it is asked for; it then reads the second views of all runs.
CREATE OR REPLACE VIEW spans ${on_cluster} AS
SELECT
    * EXCEPT (input_key, output_key) REPLACE (whole_attributes AS attributes),
    (project, run_id, span_id) IN (SELECT project, run_id, arrayJoin(second_views.span_id) FROM run_rows FINAL) AS is_second_view
FROM span_rows FINAL;

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
    root_span_id, last_seen_at, tool_errors, client_cost_usd
FROM run_rows FINAL;

-- One row a model call, its usage merged from all spans that show it. What costs are summed over.
CREATE OR REPLACE VIEW model_calls ${on_cluster} AS
SELECT
    project, run_id, agent AS run_agent, customer, user_id, session_id, outcome,
    calls.span_id AS span_id, calls.started_at AS started_at, calls.agent AS agent, calls.provider AS provider, calls.model AS model,
    calls.input_tokens AS input_tokens, calls.output_tokens AS output_tokens, calls.cache_read_tokens AS cache_read_tokens,
    calls.cache_write_tokens AS cache_write_tokens, calls.reasoning_tokens AS reasoning_tokens,
    calls.cost_usd AS cost_usd, calls.cost_status AS cost_status, calls.client_cost_usd AS client_cost_usd
FROM (SELECT * FROM run_rows FINAL) ARRAY JOIN calls;
