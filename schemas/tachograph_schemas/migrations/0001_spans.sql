-- Every write of every span. `spans` (0003) shows the last write of each.
--
-- Partitioned by the day of receipt, so that one batch of the loader is one part: all or nothing.
-- The order of the key is the order of the questions: one run, then one trace, then one span; the key
-- is also what makes two writes the same span.
CREATE TABLE IF NOT EXISTS ${local:span_rows} ${on_cluster}
(
    -- where the row comes from: which collector, which insert, which record of its log
    writer_id UInt64 CODEC(ZSTD(1)),
    batch UInt64 CODEC(ZSTD(1)),
    log_offset UInt64 CODEC(Delta(8), ZSTD(1)),
    received_at DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    version UInt64 CODEC(Delta(8), ZSTD(1)) COMMENT 'receive time in ns; the top bit is set when the span has ended, so a final span beats any in-progress copy',

    project LowCardinality(String),
    run_id String CODEC(ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    parent_span_id String CODEC(ZSTD(1)),
    trace_state String CODEC(ZSTD(1)),

    start_time DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    end_time Nullable(DateTime64(9, 'UTC')) CODEC(ZSTD(1)) COMMENT 'null while the span is open',
    duration_ns UInt64 CODEC(ZSTD(1)),
    name String CODEC(ZSTD(1)),
    kind Enum8('unspecified' = 0, 'internal' = 1, 'server' = 2, 'client' = 3, 'producer' = 4, 'consumer' = 5),
    layer LowCardinality(String),
    is_infrastructure Bool COMMENT 'transport noise (HTTP, database, messaging): kept, but no step of an account and no run of its own',
    status Enum8('unset' = 0, 'ok' = 1, 'error' = 2),
    status_message String CODEC(ZSTD(1)),
    verdict LowCardinality(String) COMMENT 'what a harness layer decided: allow, deny, escalate; pass, fail; repaired, gave_up; approved, refused, timeout; warned, stopped; empty elsewhere',
    error_type LowCardinality(String),

    service LowCardinality(String),
    service_version LowCardinality(String),
    scope LowCardinality(String),
    scope_version LowCardinality(String),
    agent LowCardinality(String),
    session_id String CODEC(ZSTD(1)),
    user_id String CODEC(ZSTD(1)),
    customer LowCardinality(String),
    tags Array(LowCardinality(String)) CODEC(ZSTD(1)),

    provider LowCardinality(String),
    model LowCardinality(String) COMMENT 'what answered; what was asked for when that is not said',
    request_model LowCardinality(String),
    response_id String CODEC(ZSTD(1)),
    finish_reason LowCardinality(String) COMMENT 'stop, length, tool_call, content_filter, error; other words as they came',
    ttft_ns Nullable(UInt64) CODEC(ZSTD(1)) COMMENT 'from the request to the first chunk of the answer',
    tool LowCardinality(String),
    tool_call_id String CODEC(ZSTD(1)),
    input String CODEC(ZSTD(1)),
    output String CODEC(ZSTD(1)),
    input_key LowCardinality(String) COMMENT 'the attribute that held this input word by word: it is left out of `attributes`; `whole_attributes` and `spans` have it',
    output_key LowCardinality(String) COMMENT 'the same for the output',

    -- token classes are disjoint: input_tokens is the fresh input alone; reasoning is a part of output
    input_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    output_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    cache_read_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    cache_write_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    cache_write_5m_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    cache_write_1h_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    reasoning_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    cost_usd Nullable(Float64) CODEC(ZSTD(1)),
    cost_status LowCardinality(String) COMMENT 'priced, unknown_price, no_usage; pending until the collector has looked up a model it sees for the first time; empty on spans that are no model call',
    price_id LowCardinality(String) COMMENT 'which entry of which price list gave the cost',
    client_cost_usd Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'what the client says the call cost: kept beside ours, never instead of it',

    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    events Nested(time DateTime64(9, 'UTC'), name String, attributes Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
    links Nested(trace_id String, span_id String, attributes Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
    dropped_attributes UInt32 CODEC(ZSTD(1)),

    -- what the client sent: with the payloads that are stored as input and output
    whole_attributes Map(LowCardinality(String), String) ALIAS if(
        input_key = '' AND output_key = '',
        attributes,
        mapConcat(attributes, mapFilter((key, value) -> key != '', map(input_key, input, output_key, output)))
    ),

    -- What a search looks into. Whoever searches names these columns, so that the indexes below are met. The beginnings
    -- are enough: a model's input repeats what other spans said before, and every word costs.
    words String ALIAS lowerUTF8(concat(substring(input, 1, 2000), ' ', substring(output, 1, 2000))),
    attribute_pairs Array(String) ALIAS arrayMap(
        (key, value) -> concat(key, '=', value),
        mapKeys(mapFilter((key, value) -> length(value) <= 100, attributes)),
        mapValues(mapFilter((key, value) -> length(value) <= 100, attributes))
    ),

    INDEX words_text words TYPE text(tokenizer = splitByNonAlpha),
    INDEX attribute_pairs_text attribute_pairs TYPE text(tokenizer = array),
    INDEX batch_range batch TYPE minmax GRANULARITY 1,
    INDEX log_offset_range log_offset TYPE minmax GRANULARITY 1,
    INDEX start_range start_time TYPE minmax GRANULARITY 1,
    INDEX trace_bloom trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX response_bloom response_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ${replacing:span_rows:version}
PARTITION BY toDate(received_at, 'UTC')
ORDER BY (project, run_id, trace_id, span_id)
TTL toDateTime(received_at) + INTERVAL ${retention_days} DAY DELETE
-- A crash can leave parts broken; the log repairs them, so a broken part must never stop the start. The index of
-- words is built by neither inserts nor merges but afterwards (word_index.py).
SETTINGS exclude_materialize_skip_indexes_on_merge = 'words_text', ttl_only_drop_parts = 1,
    max_suspicious_broken_parts = 1000000, max_suspicious_broken_parts_bytes = 1000000000000;

-- cluster only
CREATE TABLE IF NOT EXISTS span_rows ${on_cluster} AS span_rows_local
ENGINE = Distributed('${cluster}', currentDatabase(), span_rows_local, cityHash64(run_id));
