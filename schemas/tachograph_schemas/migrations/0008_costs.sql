-- What else a run cost, what it did not have to pay, and whether the provider's numbers add up.
ALTER TABLE ${local:span_rows} ${on_cluster}
    ADD COLUMN IF NOT EXISTS odd_usage LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'why the numbers of a model call do not add up: negative, cache_over_input, reasoning_over_output, total_differs; empty when they do',
    ADD COLUMN IF NOT EXISTS is_cached Bool CODEC(ZSTD(1)) COMMENT 'answered from a cache of the agent or from a recording: it cost nothing',
    ADD COLUMN IF NOT EXISTS tool_cost_usd Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'what the step itself says that it cost beside tokens',
    ADD COLUMN IF NOT EXISTS human_cost_usd Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'the time of people, as the step says',
    ADD COLUMN IF NOT EXISTS saved_usd Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'what a cached step would have cost';

ALTER TABLE ${local:run_rows} ${on_cluster}
    ADD COLUMN IF NOT EXISTS odd_calls UInt64 COMMENT 'model calls whose numbers of tokens do not add up',
    ADD COLUMN IF NOT EXISTS tool_cost_usd Nullable(Float64),
    ADD COLUMN IF NOT EXISTS human_cost_usd Nullable(Float64),
    ADD COLUMN IF NOT EXISTS saved_usd Nullable(Float64);

-- cluster only
ALTER TABLE span_rows ${on_cluster}
    ADD COLUMN IF NOT EXISTS odd_usage LowCardinality(String),
    ADD COLUMN IF NOT EXISTS is_cached Bool,
    ADD COLUMN IF NOT EXISTS tool_cost_usd Nullable(Float64),
    ADD COLUMN IF NOT EXISTS human_cost_usd Nullable(Float64),
    ADD COLUMN IF NOT EXISTS saved_usd Nullable(Float64);

-- cluster only
ALTER TABLE run_rows ${on_cluster}
    ADD COLUMN IF NOT EXISTS odd_calls UInt64,
    ADD COLUMN IF NOT EXISTS tool_cost_usd Nullable(Float64),
    ADD COLUMN IF NOT EXISTS human_cost_usd Nullable(Float64),
    ADD COLUMN IF NOT EXISTS saved_usd Nullable(Float64);

-- The same as in 0003, with the new columns.
CREATE OR REPLACE VIEW spans ${on_cluster} AS
SELECT
    * EXCEPT (input_key, output_key) REPLACE (whole_attributes AS attributes),
    (project, run_id, span_id) IN (SELECT project, run_id, arrayJoin(second_views.span_id) FROM run_rows FINAL) AS is_second_view
FROM span_rows FINAL;

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
    root_span_id, last_seen_at, tool_errors, client_cost_usd,
    odd_calls, tool_cost_usd, human_cost_usd, saved_usd
FROM run_rows FINAL;
