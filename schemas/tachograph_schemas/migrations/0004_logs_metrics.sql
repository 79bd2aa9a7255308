-- Every write of every log record. `logs` shows each once.
--
-- A record has no id of its own, so the key is what it says and its place in the request that brought it: a request
-- that is sent or inserted again says the same in the same places. Partitioned by the day of receipt, like span_rows.
CREATE TABLE IF NOT EXISTS ${local:log_rows} ${on_cluster}
(
    -- where the row comes from: which collector, which insert, which record of its log
    writer_id UInt64 CODEC(ZSTD(1)),
    batch UInt64 CODEC(ZSTD(1)),
    log_offset UInt64 CODEC(Delta(8), ZSTD(1)),
    received_at DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),

    project LowCardinality(String),
    time DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'when it happened; when it was observed or received if that is not said',
    observed_time Nullable(DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    record_key UInt64 CODEC(ZSTD(1)) COMMENT 'stands for what the record says and where it stood in its request',
    trace_id String CODEC(ZSTD(1)) COMMENT 'empty when the record belongs to no span',
    span_id String CODEC(ZSTD(1)),
    run_id String CODEC(ZSTD(1)) COMMENT 'the run that the record names, else its trace id',
    severity_number UInt8 COMMENT '1 to 24 as OpenTelemetry counts; 0: not said',
    severity LowCardinality(String) COMMENT 'as it was said, else the word for the number',
    event_name LowCardinality(String) COMMENT 'gen_ai.evaluation.result and such; empty for plain records',
    body String CODEC(ZSTD(1)) COMMENT 'text; structured bodies are JSON',
    service LowCardinality(String),
    service_version LowCardinality(String),
    scope LowCardinality(String),
    scope_version LowCardinality(String),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    dropped_attributes UInt32 CODEC(ZSTD(1)),
    flags UInt32 CODEC(ZSTD(1)),

    INDEX batch_range batch TYPE minmax GRANULARITY 1,
    INDEX log_offset_range log_offset TYPE minmax GRANULARITY 1,
    INDEX trace_bloom trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX run_bloom run_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ${replacing:log_rows:received_at}
PARTITION BY toDate(received_at, 'UTC')
ORDER BY (project, time, record_key)
TTL toDateTime(received_at) + INTERVAL ${retention_days} DAY DELETE
SETTINGS max_suspicious_broken_parts = 1000000, max_suspicious_broken_parts_bytes = 1000000000000;

-- cluster only
CREATE TABLE IF NOT EXISTS log_rows ${on_cluster} AS log_rows_local
ENGINE = Distributed('${cluster}', currentDatabase(), log_rows_local, cityHash64(run_id));

-- Every write of every data point of every metric. `metrics` shows each once.
CREATE TABLE IF NOT EXISTS ${local:metric_rows} ${on_cluster}
(
    writer_id UInt64 CODEC(ZSTD(1)),
    batch UInt64 CODEC(ZSTD(1)),
    log_offset UInt64 CODEC(Delta(8), ZSTD(1)),
    received_at DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),

    project LowCardinality(String),
    name LowCardinality(String),
    kind LowCardinality(String) COMMENT 'gauge, sum, histogram, exponential_histogram, summary',
    unit LowCardinality(String),
    description LowCardinality(String),
    temporality LowCardinality(String) COMMENT 'delta or cumulative; empty where it has no meaning',
    is_monotonic Bool,
    start_time Nullable(DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    time DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'when it was received if the point does not say',
    point_key UInt64 CODEC(ZSTD(1)) COMMENT 'stands for what the point says and where it stood in its request',
    value Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'of gauges and sums; null when nothing was recorded',
    int_value Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'the same, exact, when it was sent as a whole number',
    count Nullable(UInt64) CODEC(ZSTD(1)),
    sum Nullable(Float64) CODEC(ZSTD(1)),
    min Nullable(Float64) CODEC(ZSTD(1)),
    max Nullable(Float64) CODEC(ZSTD(1)),
    bucket_counts Array(UInt64) CODEC(ZSTD(1)),
    explicit_bounds Array(Float64) CODEC(ZSTD(1)),
    scale Nullable(Int32) CODEC(ZSTD(1)),
    zero_count Nullable(UInt64) CODEC(ZSTD(1)),
    zero_threshold Nullable(Float64) CODEC(ZSTD(1)),
    positive_offset Nullable(Int32) CODEC(ZSTD(1)),
    positive_counts Array(UInt64) CODEC(ZSTD(1)),
    negative_offset Nullable(Int32) CODEC(ZSTD(1)),
    negative_counts Array(UInt64) CODEC(ZSTD(1)),
    quantiles Array(Tuple(quantile Float64, value Float64)) CODEC(ZSTD(1)),
    exemplars String CODEC(ZSTD(1)) COMMENT 'a JSON array; empty when there are none',
    flags UInt32 CODEC(ZSTD(1)),
    service LowCardinality(String),
    service_version LowCardinality(String),
    scope LowCardinality(String),
    scope_version LowCardinality(String),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource Map(LowCardinality(String), String) CODEC(ZSTD(1)),

    INDEX batch_range batch TYPE minmax GRANULARITY 1,
    INDEX log_offset_range log_offset TYPE minmax GRANULARITY 1
)
ENGINE = ${replacing:metric_rows:received_at}
PARTITION BY toDate(received_at, 'UTC')
ORDER BY (project, name, time, point_key)
TTL toDateTime(received_at) + INTERVAL ${retention_days} DAY DELETE
SETTINGS max_suspicious_broken_parts = 1000000, max_suspicious_broken_parts_bytes = 1000000000000;

-- cluster only
CREATE TABLE IF NOT EXISTS metric_rows ${on_cluster} AS metric_rows_local
ENGINE = Distributed('${cluster}', currentDatabase(), metric_rows_local, cityHash64(name, point_key));

-- One row a log record.
CREATE OR REPLACE VIEW logs ${on_cluster} AS SELECT * FROM log_rows FINAL;

-- One row a data point.
CREATE OR REPLACE VIEW metrics ${on_cluster} AS SELECT * FROM metric_rows FINAL;
