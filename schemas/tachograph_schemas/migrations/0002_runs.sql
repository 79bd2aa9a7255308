-- Every version of every run. A run is recomputed from its spans whenever a batch touched it;
-- `runs` (0003) shows the latest version with its outcome as of now.
CREATE TABLE IF NOT EXISTS ${local:run_rows} ${on_cluster}
(
    writer_id UInt64,
    batch UInt64 COMMENT 'the last batch of spans that made this version necessary',
    computed_at_ns UInt64 COMMENT 'the latest version of a run is the true one',
    last_seen_at DateTime64(9, 'UTC') COMMENT 'when a span of the run was last received',
    heartbeat Bool COMMENT 'the client reports open spans every few seconds, so silence means something',

    project LowCardinality(String),
    run_id String,
    root_span_id String,
    agent LowCardinality(String),
    service LowCardinality(String),
    version LowCardinality(String),
    code_version String,
    entrypoint String,
    trigger String,
    name String,
    started_at DateTime64(9, 'UTC'),
    ended_at Nullable(DateTime64(9, 'UTC')),
    duration_ns UInt64,
    waiting_ns UInt64,
    outcome LowCardinality(String),
    stop_reason String,
    goal String,
    input String,
    output String,
    error_type LowCardinality(String),
    span_count UInt64,
    spans_made Nullable(UInt64) COMMENT 'what the client says it made; null when it does not say',
    error_count UInt64,
    model_calls UInt64,
    tool_calls UInt64,
    tool_errors UInt64 COMMENT 'executions of tools that failed',
    tools Array(LowCardinality(String)),
    models Array(LowCardinality(String)),
    input_tokens Nullable(UInt64),
    output_tokens Nullable(UInt64),
    cache_read_tokens Nullable(UInt64),
    cache_write_tokens Nullable(UInt64),
    reasoning_tokens Nullable(UInt64),
    cost_usd Nullable(Float64) COMMENT 'sum over the priced calls; null when none is priced',
    unpriced_calls UInt64,
    client_cost_usd Nullable(Float64) COMMENT 'what the client says its calls cost; null when it does not say',
    session_id String,
    user_id String,
    customer LowCardinality(String),
    tags Array(LowCardinality(String)),
    layer_counts Map(LowCardinality(String), UInt64),

    -- every model call once, with the best usage that any of its spans tells (0003: `model_calls`)
    calls Nested(
        span_id String,
        started_at DateTime64(9, 'UTC'),
        agent LowCardinality(String),
        provider LowCardinality(String),
        model LowCardinality(String),
        input_tokens Nullable(UInt64),
        output_tokens Nullable(UInt64),
        cache_read_tokens Nullable(UInt64),
        cache_write_tokens Nullable(UInt64),
        reasoning_tokens Nullable(UInt64),
        cost_usd Nullable(Float64),
        cost_status LowCardinality(String),
        client_cost_usd Nullable(Float64)
    ),
    -- the spans that show a call or a tool's execution which another span shows already
    second_views Nested(span_id String, of_run_id String, of_span_id String),

    -- The list of runs: what it is filtered by and sorted by, in the order of time (docs/decisions/0008-find.md).
    PROJECTION by_start (
        SELECT
            project, started_at, run_id, ended_at, last_seen_at, heartbeat, outcome, agent, customer, session_id, user_id, tags, tools, models,
            cost_usd, duration_ns
        ORDER BY project, started_at
    )
)
ENGINE = ${replacing:run_rows:computed_at_ns}
ORDER BY (project, run_id)
TTL toDateTime(last_seen_at) + INTERVAL ${retention_days} DAY DELETE
-- Small granules: a page of the list reads fifty rows from fifty places.
SETTINGS index_granularity = 512, deduplicate_merge_projection_mode = 'rebuild', lightweight_mutation_projection_mode = 'rebuild',
    max_suspicious_broken_parts = 1000000, max_suspicious_broken_parts_bytes = 1000000000000;

-- cluster only
CREATE TABLE IF NOT EXISTS run_rows ${on_cluster} AS run_rows_local
ENGINE = Distributed('${cluster}', currentDatabase(), run_rows_local, cityHash64(run_id));

-- Prices by the names that spans carry, resolved once per name: small, and the same on every node.
CREATE TABLE IF NOT EXISTS ${local:model_prices} ${on_cluster}
(
    provider LowCardinality(String),
    model LowCardinality(String),
    price_id String COMMENT 'empty: the price list does not know this model',
    input_usd Float64 COMMENT 'per token, like all of these',
    output_usd Float64,
    cache_read_usd Float64,
    cache_write_usd Float64 COMMENT '5 minutes, and the default when the lifetime is not said',
    cache_write_1h_usd Float64,
    tier_above_tokens UInt64 COMMENT 'from this many input tokens on (all classes together) the tier_* prices hold for the whole call; 0: no tier',
    tier_input_usd Float64,
    tier_output_usd Float64,
    tier_cache_read_usd Float64,
    tier_cache_write_usd Float64,
    tier_cache_write_1h_usd Float64,
    resolved_at DateTime64(3, 'UTC')
)
ENGINE = ${replacing:model_prices:resolved_at}
ORDER BY (provider, model);

-- cluster only
CREATE TABLE IF NOT EXISTS model_prices ${on_cluster} AS model_prices_local
ENGINE = Distributed('${cluster}', currentDatabase(), model_prices_local, cityHash64(model));
