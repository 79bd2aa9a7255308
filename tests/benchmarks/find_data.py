"""Ten million spans made inside the engine, in our own tables, for :mod:`find`.

Thirty days of traffic: 19 spans a run and now and then a run of a thousand, about 50 agents, 200 customers, 20 models and
60 tools of unequal weight, payloads of 200 to 2,000 bytes cut from a text whose words follow Zipf's law. The runs are
computed by the product's own roll-up. What was made is kept; a data set is known by its marker file.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from clickhouse_connect.driver.client import Client

from tachograph_schemas import ingest, store
from tachograph_schemas.word_index import INSERT_SETTINGS, WordIndex

DAYS = 30
USUAL, LONG = 19, 1000
"""Spans of a usual run and of a long one."""
_SLICES_OF_LAST_DAY = 12
"""The last day arrives in pieces that have not been merged yet, its runs computed several times."""
_CORPUS_BYTES = 16 << 20
_WORDS = 60_000


@dataclass(frozen=True, slots=True)
class Shape:
    """How much data."""

    spans: int

    @property
    def long_runs(self) -> int:
        """Runs of :data:`LONG` spans: a twentieth of all spans."""
        return max(self.spans // 20 // LONG, 1)

    @property
    def usual_runs(self) -> int:
        """Runs of :data:`USUAL` spans."""
        return (self.spans - self.long_runs * LONG) // USUAL


def prepared(directory: Path, shape: Shape) -> Client:
    """A client over the data set in ``directory``, built now when it is not there."""
    marker = directory / "made.json"
    made = json.loads(marker.read_text(encoding="utf-8")) if marker.exists() else None
    if made is not None and made["spans"] != shape.spans:
        raise SystemExit(f"{directory} holds {made['spans']:,} spans; give another --data.")
    directory.mkdir(parents=True, exist_ok=True)
    client = store.connect(f"chdb://{directory / 'engine'}")
    store.migrate(client)
    if made is None:
        started = time.monotonic()
        _build(client, shape)
        marker.write_text(json.dumps(asdict(shape)), encoding="utf-8")
        print(f"built in {time.monotonic() - started:,.0f} s\n")
    return client


def _build(client: Client, shape: Shape) -> None:
    client.command("TRUNCATE TABLE span_rows")
    client.command("TRUNCATE TABLE run_rows")
    _corpus(client)
    index = WordIndex()
    pieces = [(day, piece) for day in range(DAYS) for piece in _pieces(shape, day)]
    for batch, (day, (first, last)) in enumerate(pieces, start=1):
        if batch == len(pieces):
            # The newest spans are not indexed yet, as in life.
            index.catch_up(client, threading.Event().wait)
        values = {"batch": batch, "day": day, "first": first, "last": last}
        values |= {"long_first": first * shape.long_runs // shape.usual_runs}
        values |= {"long_last": last * shape.long_runs // shape.usual_runs}
        values |= {"runs": shape.usual_runs, "now": int(time.time()) // 86_400 * 86_400}
        client.command(_SPANS, parameters=values, settings=_INSERT | dict(INSERT_SETTINGS))
        ingest.roll_up(client, 1, [batch])
        if day == DAYS - 1:
            ingest.roll_up(client, 1, [batch])
        print(f"{batch} of {len(pieces)}", flush=True)
    client.command("DROP TABLE bench_corpus")


def _pieces(shape: Shape, day: int) -> list[tuple[int, int]]:
    first, last = (shape.usual_runs * at // DAYS for at in (day, day + 1))
    slices = _SLICES_OF_LAST_DAY if day == DAYS - 1 else 1
    edges = [first + (last - first) * at // slices for at in range(slices + 1)]
    return list(itertools.pairwise(edges))


def _corpus(client: Client) -> None:
    client.command(
        "CREATE OR REPLACE TABLE bench_corpus (body String) ENGINE = MergeTree ORDER BY ()"
    )
    client.command(_CORPUS, parameters={"words": _WORDS, "size": _CORPUS_BYTES})


_INSERT = {
    "max_threads": 2,
    "max_insert_threads": 1,
    "max_block_size": 16_384,
    "min_insert_block_size_rows": 120_000,
    "min_insert_block_size_bytes": 1 << 30,
}

# Word number k is asked for with a weight of 1/k: exp(uniform * ln(words)).
_CORPUS = """
INSERT INTO bench_corpus
WITH ['ka', 'lo', 'mer', 'ti', 'sun', 'ro', 'van', 'del', 'pi', 'or', 'esh', 'um'] AS parts
SELECT substring(arrayStringConcat(groupArray(
    concat(parts[1 + at % 12], parts[1 + intDiv(at, 12) % 12], if(at < 144, '', parts[1 + intDiv(at, 144) % 12]), if(at < 1728, '', toString(intDiv(at, 1728))))
), ' '), 1, {size:UInt64})
FROM (SELECT toUInt64(exp(randCanonical() * log({words:UInt64}))) AS at FROM numbers(intDiv({size:UInt64}, 5)))
"""

_SPANS = """
INSERT INTO span_rows (
    writer_id, batch, log_offset, received_at, version, project, run_id, trace_id, span_id, parent_span_id, trace_state,
    start_time, end_time, duration_ns, name, kind, layer, is_infrastructure, status, status_message, verdict, error_type,
    service, service_version, scope, scope_version, agent, session_id, user_id, customer, tags,
    provider, model, request_model, response_id, finish_reason, ttft_ns, tool, tool_call_id, input, output, input_key, output_key,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_5m_tokens, cache_write_1h_tokens, reasoning_tokens,
    cost_usd, cost_status, price_id, client_cost_usd, attributes, resource
)
WITH
    (SELECT body FROM bench_corpus) AS corpus,
    -- a number from 0 to 1 that belongs to a run or a span and a question
    (key, salt) -> sipHash64(key, salt) / 18446744073709551616. AS part,
    run % 1000000000 AS ordinal,
    if(run >= 1000000000, 1000, 19) AS size,
    toInt64(1000000000) * ({now:UInt32} - 86400 * 29 + 86400 * {day:UInt32}) - toInt64(86400000000000) AS day_ns,
    toInt64(day_ns + part(run, 1) * 80000e9) AS run_start_ns,
    toInt64(run_start_ns + at * 150e6) AS start_ns,
    toUInt64(if(at = 0, size * 160e6 * (0.3 + 3 * pow(part(run, 2), 4)), 20e6 + 400e6 * pow(part(n, 2), 3))) AS took_ns,
    multiIf(at = 0, 'run', at % 3 = 1, 'model', at % 3 = 2, 'tool', at % 2 = 0, 'step', 'gate') AS layer_is,
    concat('agent-', toString(toUInt32(50 * pow(part(run, 3), 2)))) AS agent_is,
    concat('customer-', toString(toUInt32(200 * pow(part(run, 4), 2)))) AS customer_is,
    concat('model-', toString(toUInt32(20 * pow(part(n, 5), 2)))) AS model_is,
    concat('tool-', toString(toUInt32(60 * pow(part(n, 6), 2)))) AS tool_is,
    substring(corpus, 1 + toUInt32(part(n, 7) * 16000000), 200 + toUInt32(1800 * pow(part(n, 8), 3))) AS asked,
    concat(substring(corpus, 1 + toUInt32(part(n, 9) * 16000000), 100 + toUInt32(1200 * pow(part(n, 10), 3))), ' order ', order_id) AS answered,
    concat('ORD', toString(100000 + intDiv(ordinal, 7)), 'X', toString(at)) AS order_id,
    if(at = 0 AND part(run, 11) < 0.06, 'error', if(at > 0 AND part(n, 11) < 0.02, 'error', 'ok')) AS status_is
SELECT
    1 AS writer_id, {batch:UInt64} AS batch, n AS log_offset, fromUnixTimestamp64Nano(start_ns + toInt64(took_ns) + 1000000000, 'UTC') AS received_at,
    toUInt64(toUnixTimestamp64Nano(received_at)) + 9223372036854775808 AS version,
    'default' AS project, lower(hex(sipHash128(run))) AS run_id, run_id AS trace_id, lower(hex(sipHash64(n))) AS span_id,
    if(at = 0, '', lower(hex(sipHash64(n - at + intDiv(at - 1, 4))))) AS parent_span_id, '' AS trace_state,
    fromUnixTimestamp64Nano(start_ns, 'UTC') AS start_time, fromUnixTimestamp64Nano(start_ns + toInt64(took_ns), 'UTC') AS end_time, took_ns AS duration_ns,
    multiIf(layer_is = 'model', concat('chat ', model_is), layer_is = 'tool', concat('execute_tool ', tool_is), at = 0, concat('invoke_agent ', agent_is), layer_is) AS name,
    'internal' AS kind, layer_is AS layer, false AS is_infrastructure, status_is AS status, if(status_is = 'error', 'it did not work', '') AS status_message,
    if(layer_is = 'gate', 'allow', '') AS verdict, if(status_is = 'error', 'TimeoutError', '') AS error_type,
    concat('service-', toString(sipHash64(agent_is) % 12)) AS service, '1.4' AS service_version, 'tachograph' AS scope, '1' AS scope_version,
    agent_is AS agent, concat('session-', toString(intDiv(ordinal, 4))) AS session_id, concat('user-', toString(sipHash64(intDiv(ordinal, 4)) % 20000)) AS user_id,
    customer_is AS customer, if(at = 0, [concat('tag-', toString(toUInt32(40 * pow(part(run, 12), 2))))], []) AS tags,
    if(layer_is = 'model', 'anthropic', '') AS provider, if(layer_is = 'model', model_is, '') AS model, model AS request_model,
    if(layer_is = 'model', concat('msg_', lower(hex(sipHash64(n, 1)))), '') AS response_id, if(layer_is = 'model', 'stop', '') AS finish_reason,
    if(layer_is = 'model', toNullable(toUInt64(2e8)), NULL) AS ttft_ns,
    if(layer_is = 'tool', tool_is, '') AS tool, if(layer_is = 'tool', span_id, '') AS tool_call_id, asked AS input, answered AS output, 'tacho.input' AS input_key, 'tacho.output' AS output_key,
    if(layer_is = 'model', toNullable(toUInt64(4000 * part(n, 13))), NULL) AS input_tokens, if(layer_is = 'model', toNullable(toUInt64(900 * part(n, 14))), NULL) AS output_tokens,
    if(layer_is = 'model', toNullable(toUInt64(9000 * part(n, 15))), NULL) AS cache_read_tokens, if(layer_is = 'model', toNullable(toUInt64(0)), NULL) AS cache_write_tokens,
    NULL AS cache_write_5m_tokens, NULL AS cache_write_1h_tokens, NULL AS reasoning_tokens,
    if(layer_is = 'model', toNullable(0.03 * pow(part(n, 16), 6)), NULL) AS cost_usd, if(layer_is = 'model', 'priced', '') AS cost_status, '' AS price_id, NULL AS client_cost_usd,
    CAST(map(
        'tacho.layer', layer_is, 'gen_ai.operation.name', name, 'order.id', order_id,
        'region', concat('region-', toString(toUInt32(8 * part(run, 17)))), 'attempt', toString(1 + at % 3), 'tier', if(part(run, 18) < 0.1, 'gold', 'plain'),
        'thread.id', toString(n % 16), 'queue', concat('queue-', toString(toUInt32(400 * pow(part(run, 19), 2))))
    ), 'Map(LowCardinality(String), String)') AS attributes,
    CAST(map('service.name', service, 'host.name', concat('host-', toString(n % 9)), 'telemetry.sdk.name', 'opentelemetry'), 'Map(LowCardinality(String), String)') AS resource
FROM
(
    SELECT {first:UInt64} + intDiv(number, 19) AS run, number % 19 AS at, run * 19 + at AS n
    FROM numbers(({last:UInt64} - {first:UInt64}) * 19)
    UNION ALL
    SELECT 1000000000 + {long_first:UInt64} + intDiv(number, 1000) AS run, number % 1000 AS at, 10000000000 + (run - 1000000000) * 1000 + at AS n
    FROM numbers(({long_last:UInt64} - {long_first:UInt64}) * 1000)
)
"""
