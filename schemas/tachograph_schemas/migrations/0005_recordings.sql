-- What replay needs of a run: its tape, with long payloads apart.
CREATE TABLE IF NOT EXISTS ${local:recording_rows} ${on_cluster}
(
    project LowCardinality(String),
    run_id String CODEC(ZSTD(1)),
    received_at DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    digest String CODEC(ZSTD(1)) COMMENT 'of the tape; the same recording sent again is the same row',
    agent LowCardinality(String),
    entrypoint LowCardinality(String) COMMENT 'module:qualname of the function of the run',
    outcome LowCardinality(String) COMMENT 'ok, err or cancel; empty when the tape has no end',
    effects UInt32 COMMENT 'calls on the tape',
    tape String CODEC(ZSTD(3)) COMMENT 'JSON lines, each with its checksum',
    blobs Array(String) CODEC(ZSTD(1)) COMMENT 'names of the payloads the tape refers to'
)
ENGINE = ${replacing:recording_rows:received_at}
PARTITION BY toDate(received_at, 'UTC')
ORDER BY (project, run_id, digest)
TTL toDateTime(received_at) + INTERVAL ${retention_days} DAY DELETE
SETTINGS max_suspicious_broken_parts = 1000000, max_suspicious_broken_parts_bytes = 1000000000000;

-- cluster only
CREATE TABLE IF NOT EXISTS recording_rows ${on_cluster} AS recording_rows_local
ENGINE = Distributed('${cluster}', currentDatabase(), recording_rows_local, cityHash64(run_id));

-- Long payloads by the hash of their content: a system prompt that a thousand runs repeat is here once a day.
CREATE TABLE IF NOT EXISTS ${local:blob_rows} ${on_cluster}
(
    project LowCardinality(String),
    name String CODEC(ZSTD(1)) COMMENT 'BLAKE2b-256 of the content, hexadecimal',
    received_at DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    content String CODEC(ZSTD(3)) COMMENT 'JSON'
)
ENGINE = ${replacing:blob_rows:received_at}
PARTITION BY toDate(received_at, 'UTC')
ORDER BY (project, name)
TTL toDateTime(received_at) + INTERVAL ${retention_days} DAY DELETE
SETTINGS max_suspicious_broken_parts = 1000000, max_suspicious_broken_parts_bytes = 1000000000000;

-- cluster only
CREATE TABLE IF NOT EXISTS blob_rows ${on_cluster} AS blob_rows_local
ENGINE = Distributed('${cluster}', currentDatabase(), blob_rows_local, cityHash64(name));

-- One row a recorded run: the last tape that came.
CREATE OR REPLACE VIEW recordings ${on_cluster} AS
SELECT * FROM recording_rows ORDER BY received_at DESC LIMIT 1 BY project, run_id;

-- One row a payload.
CREATE OR REPLACE VIEW blobs ${on_cluster} AS
SELECT * FROM blob_rows LIMIT 1 BY project, name;
