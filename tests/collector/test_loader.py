"""From the log into the real engine: exactly once, whatever fails in between."""

from __future__ import annotations

import threading
import time

import pytest

from otlp import Trace, plain_body, span_id
from pipeline import Pipeline, until
from signal_bodies import all_points, log_body
from tachograph_collector.canonical import canonical
from tachograph_collector.kinds import KINDS
from tachograph_collector.signals import FACES
from tachograph_collector.store import EngineStore, Stored
from tachograph_collector.wal import Record
from tachograph_schemas.store import Layout, StoreError


@pytest.fixture
def pipeline(engine_home):
    return Pipeline(engine_home)


def test_what_was_appended_is_stored_once_and_becomes_runs(pipeline):
    pipeline.start()
    pipeline.send(*[plain_body(trace, 5) for trace in range(1, 21)])
    pipeline.stop()
    assert pipeline.rows("SELECT count(), uniqExact(trace_id) FROM spans") == [(100, 20)]
    assert pipeline.rows("SELECT count(), sum(span_count), sum(tool_calls) FROM runs") == [
        (20, 100, 80)
    ]
    assert pipeline.log.checkpoint == pipeline.log.committed


def test_bodies_wait_in_the_log_until_the_engine_is_there(engine_home):
    first = Pipeline(engine_home)
    first.send(plain_body(1, 3), plain_body(2, 3))  # the loader never started
    first.log.close()

    second = Pipeline(engine_home).start()
    second.stop()
    assert second.rows("SELECT count() FROM spans") == [(6,)]


def test_recovery_inserts_only_what_is_missing(engine_home):
    first = Pipeline(engine_home).start()
    first.send(plain_body(1, 3))
    until(lambda: first.log.checkpoint == 1)
    first.stop()

    # A crash after the insert and before the checkpoint: the mark goes back, the rows are there.
    (engine_home / "log" / "checkpoint").unlink()
    second = Pipeline(engine_home)
    second.send(plain_body(2, 4))
    second.start()
    second.stop()
    rows = second.rows(
        "SELECT trace_id, count() FROM span_rows GROUP BY trace_id ORDER BY trace_id"
    )
    assert [count for _, count in rows] == [3, 4], (
        "stored rows, before any replacing, are not doubled"
    )


def test_a_lost_insert_is_found_by_the_check_and_stored_again(pipeline, monkeypatch):
    real = pipeline.engine.insert
    forgotten = []

    def forgetful(writer_id, batch, records):
        if not forgotten:
            forgotten.append(batch)  # says it stored the batch, and did not
            return
        real(writer_id, batch, records)

    monkeypatch.setattr(pipeline.engine, "insert", forgetful)
    pipeline.start()
    pipeline.send(plain_body(1, 3))
    until(lambda: pipeline.log.checkpoint == 1)
    pipeline.stop()
    assert forgotten == [1]
    assert pipeline.rows("SELECT count() FROM spans") == [(3,)]
    assert pipeline.rows("SELECT span_count FROM runs") == [(3,)]


def test_an_insert_with_unknown_outcome_is_repeated_and_shows_once(pipeline, monkeypatch):
    real = pipeline.engine.insert
    calls = []

    def unsure(writer_id, batch, records):
        calls.append(batch)
        real(writer_id, batch, records)
        if len(calls) == 1:
            raise ConnectionResetError("the connection broke after the insert was sent")

    monkeypatch.setattr(pipeline.engine, "insert", unsure)
    pipeline.start()
    pipeline.send(plain_body(1, 3))
    pipeline.stop()
    assert calls == [1, 1]
    assert pipeline.rows("SELECT count() FROM spans") == [(3,)]
    assert pipeline.rows("SELECT span_count, tool_calls FROM runs") == [(3, 2)]


def test_a_body_the_engine_cannot_store_goes_aside_and_its_neighbours_are_stored(
    pipeline, monkeypatch
):
    real = pipeline.engine.insert
    poison = Trace(66).span(1, "poison").body()

    def picky(writer_id, batch, records):
        if any(b"poison" in record.body for record in records):
            error = StoreError("Code: 27. DB::Exception: Cannot parse input")
            error.code = 27
            raise error
        real(writer_id, batch, records)

    monkeypatch.setattr(pipeline.engine, "insert", picky)
    bodies = [plain_body(trace, 2) for trace in range(1, 10)]
    pipeline.send(*bodies[:5], poison, *bodies[5:])
    pipeline.start()
    pipeline.stop()
    assert pipeline.rows("SELECT count(), uniqExact(trace_id) FROM spans") == [(18, 9)]
    (kept,) = pipeline.quarantine.glob("*.otlp.pb")
    assert kept.read_bytes() == canonical(poison).data
    assert "Cannot parse input" in kept.with_suffix("").with_suffix(".json").read_text()


def test_a_refusing_engine_leaves_everything_in_the_log_until_it_recovers(pipeline, monkeypatch):
    real = pipeline.engine.insert
    broken = threading.Event()
    broken.set()

    def full(writer_id, batch, records):
        if broken.is_set():
            error = StoreError("Code: 243. DB::Exception: Cannot reserve 1.00 MiB")
            error.code = 243
            raise error
        real(writer_id, batch, records)

    monkeypatch.setattr(pipeline.engine, "insert", full)
    pipeline.start()
    pipeline.send(plain_body(1, 3))
    until(lambda: pipeline.loader.trouble)
    assert "Cannot reserve" in pipeline.loader.trouble
    assert pipeline.log.checkpoint == 0
    broken.clear()
    until(lambda: pipeline.log.checkpoint == 1)
    assert pipeline.loader.trouble == ""
    pipeline.stop()
    assert pipeline.rows("SELECT count() FROM spans") == [(3,)]


def test_a_span_sent_twice_shows_once_and_the_final_copy_wins(pipeline):
    pipeline.start()
    opened = (
        Trace(1).span(1, "invoke_agent a", ms=None, tacho__layer="run", tacho__open=True).body()
    )
    final = Trace(1).span(
        1, "invoke_agent a", ms=50, tacho__layer="run", tacho__run__outcome="success"
    )
    final.start_ns = 0
    pipeline.send(opened)
    until(lambda: pipeline.log.checkpoint == 1)
    pipeline.send(final.body())
    pipeline.send(opened)  # a late heartbeat that was under way
    pipeline.stop()
    assert pipeline.rows("SELECT span_id, isNull(end_time), duration_ns FROM spans") == [
        (span_id(1), 0, 50_000_000)
    ]
    assert pipeline.rows("SELECT outcome, span_count FROM runs") == [("success", 1)]


def test_a_copy_that_is_merged_away_before_the_last_check_does_not_hold_up_the_end(
    pipeline, monkeypatch
):
    pipeline.start()
    opened = Trace(1).span(1, "invoke_agent a", ms=None, tacho__open=True).body()
    for confirmed, body in enumerate(
        (opened, Trace(1).span(1, "invoke_agent a", ms=50).body()), start=1
    ):
        pipeline.send(body)
        until(lambda confirmed=confirmed: pipeline.log.checkpoint == confirmed)
    merged = []

    def merge_first(real=pipeline.engine.barrier):
        with pipeline.engine.session() as client:
            client.command("OPTIMIZE TABLE span_rows FINAL")
        merged.append(1)
        real()

    monkeypatch.setattr(pipeline.engine, "barrier", merge_first)
    pipeline.send(opened)  # a late heartbeat
    pipeline.stop()
    assert merged
    assert pipeline.rows("SELECT isNull(end_time), duration_ns FROM spans") == [(0, 50_000_000)]


def test_a_batch_never_spans_two_days(pipeline):
    from tachograph_collector.loader import _by_day
    from tachograph_collector.wal import Record

    midnight = 20_000 * 86_400 * 10**9
    records = [
        Record(n, midnight + offset, 1, "default", b"") for n, offset in enumerate((-2, -1, 0, 5))
    ]
    assert [[record.sequence for record in batch] for batch in _by_day(records)] == [[0, 1], [2, 3]]
    pipeline.log.close()


def test_one_batch_is_one_part(pipeline):
    pipeline.send(*[plain_body(trace, 50) for trace in range(1, 41)])
    pipeline.start()
    pipeline.stop()
    (row,) = pipeline.rows(
        "SELECT count(), uniqExact(batch), (SELECT count() FROM system.parts WHERE active AND table = 'span_rows') FROM span_rows"
    )
    assert row == (2000, 1, 1)


def test_prices_are_looked_up_when_a_model_is_first_seen(pipeline):
    pipeline.start()
    usage = {
        "gen_ai__operation__name": "chat",
        "gen_ai__provider__name": "anthropic",
        "gen_ai__usage__input_tokens": 1500,
        "gen_ai__usage__cache_read__input_tokens": 1000,
        "gen_ai__usage__output_tokens": 100,
    }
    known = Trace(1).span(1, "chat", gen_ai__response__model="claude-haiku-4-5", **usage)
    unknown = Trace(2).span(1, "chat", gen_ai__response__model="no-such-model-9", **usage)
    pipeline.send(known.body(), unknown.body())
    pipeline.stop()
    rows = pipeline.rows(
        "SELECT model, input_tokens, cache_read_tokens, output_tokens, cost_usd, cost_status FROM spans ORDER BY model"
    )
    # 500 fresh at 1 USD, 1000 cached at 0.10 USD, 100 out at 5 USD per million tokens
    assert rows[0][:4] == ("claude-haiku-4-5", 500, 1000, 100)
    assert rows[0][4] == pytest.approx(0.0011)
    assert rows[0][5] == "priced"
    assert rows[1][4:] == (None, "unknown_price")
    assert pipeline.rows("SELECT cost_usd, unpriced_calls FROM runs ORDER BY unpriced_calls")[
        1
    ] == (None, 1)


def test_after_a_failed_statement_the_next_one_is_answered_rightly(engine_home):
    """An embedded session that failed part way would hand its leftover rows to the next query."""
    engine = EngineStore(f"chdb://{engine_home / 'data'}", Layout(), engine_home / "work")
    engine.open()
    with pytest.raises(Exception, match="throwIf"), engine.session() as client:
        client.query("SELECT number, throwIf(number = 500000) FROM numbers(1000000)")
    with engine.session() as client:
        assert client.query("SELECT 1").result_rows == [(1,)]
    engine.close()


def test_a_body_the_engine_has_no_memory_for_is_set_aside_and_stops_nothing(pipeline, monkeypatch):
    real = pipeline.engine.insert
    monkeypatch.setattr("tachograph_collector.loader._RETRY_S", (0.01,))

    def hungry(writer_id, batch, records):
        if any(b"feast" in record.body for record in records):
            error = StoreError("Code: 241. DB::Exception: memory limit exceeded")
            error.code = 241
            raise error
        real(writer_id, batch, records)

    monkeypatch.setattr(pipeline.engine, "insert", hungry)
    pipeline.send(plain_body(1, 3), Trace(66).span(1, "feast").body(), plain_body(2, 3))
    pipeline.start()
    until(lambda: pipeline.log.checkpoint == 3)
    pipeline.stop()
    assert pipeline.rows("SELECT count() FROM spans") == [(6,)]
    assert len(list(pipeline.quarantine.glob("*.otlp.pb"))) == 1


def test_a_batch_of_all_signals_is_stored_in_each_signals_table(pipeline):
    pipeline.send(plain_body(1, 3))
    pipeline.send(log_body("one", "two"), signal="logs")
    pipeline.send(all_points(), signal="metrics")
    pipeline.send(plain_body(2, 3))
    pipeline.start()
    pipeline.stop()
    for table, rows in (("spans", 6), ("logs", 2), ("metrics", 6)):
        assert pipeline.rows(f"SELECT count() FROM {table}") == [(rows,)]
    assert pipeline.log.checkpoint == 4
    for signal, records in (("traces", 6), ("logs", 2), ("metrics", 6)):
        assert pipeline.count(f'records_stored_total{{signal="{signal}"}}') == records
        assert pipeline.count(f'inserts_total{{signal="{signal}"}}') == 1


@pytest.mark.parametrize(("signal", "table"), [("logs", "log_rows"), ("metrics", "metric_rows")])
def test_records_of_every_signal_are_stored_once_whatever_is_repeated(
    pipeline, monkeypatch, signal, table
):
    real = pipeline.engine.insert
    calls = []

    def unsure(writer_id, batch, records):
        calls.append(batch)
        real(writer_id, batch, records)
        if len(calls) == 1:
            raise ConnectionResetError("the connection broke after the insert was sent")

    monkeypatch.setattr(pipeline.engine, "insert", unsure)
    body = log_body("a", "a", "b") if signal == "logs" else all_points()
    pipeline.start()
    pipeline.send(body, signal=signal)
    until(lambda: pipeline.log.checkpoint == 1)
    pipeline.send(body, signal=signal)  # the client did not get the answer
    pipeline.stop()
    rows = 3 if signal == "logs" else 6
    assert pipeline.rows(f"SELECT count() FROM {signal}") == [(rows,)]
    assert len(calls) == 3


def test_a_lost_insert_of_logs_is_found_and_stored_again(pipeline, monkeypatch):
    real = pipeline.engine.insert
    forgotten = []

    def forgetful(writer_id, batch, records):
        if not forgotten and records[0].kind:
            forgotten.append(batch)
            return
        real(writer_id, batch, records)

    monkeypatch.setattr(pipeline.engine, "insert", forgetful)
    pipeline.send(log_body("a"), signal="logs")
    pipeline.send(plain_body(1, 3))
    pipeline.start()
    until(lambda: pipeline.log.checkpoint == 2)
    pipeline.stop()
    assert forgotten == [1]
    assert pipeline.rows("SELECT count() FROM logs") == [(1,)]


def test_a_record_of_a_later_version_goes_aside_and_stops_nothing(pipeline):
    done = threading.Event()
    pipeline.log.append("default", b"from the future", 1, lambda error: done.set(), 200)
    assert done.wait(60)
    pipeline.send(plain_body(1, 3))
    pipeline.start()
    pipeline.stop()
    assert pipeline.rows("SELECT count() FROM spans") == [(3,)]
    (kept,) = pipeline.kept_aside.bodies()
    assert "kind 200" in kept.reason


def test_a_server_takes_every_signal_over_http(tmp_path, clickhouse_server):
    engine = EngineStore(clickhouse_server.dsn, Layout(), tmp_path / "work")
    engine.open()
    now = time.time_ns()
    for sequence, (signal, body) in enumerate(
        (("traces", plain_body(1, 3)), ("logs", log_body("a", "b")), ("metrics", all_points())), 1
    ):
        found = FACES[signal].read_protobuf(body)
        record = Record(sequence, now, found.spans, "default", found.data, KINDS[signal])
        engine.insert(7, sequence, [record])
        engine.insert(7, sequence, [record])
    assert engine.stored_after(7, 0) == {Stored(sequence, now) for sequence in (1, 2, 3)}
    with engine.session() as client:
        for table, rows in (("spans", 3), ("logs", 2), ("metrics", 6)):
            assert client.query(f"SELECT count() FROM {table}").result_rows == [(rows,)]
    engine.close()


def test_a_start_behind_a_body_that_was_set_aside_does_not_store_the_whole_log_again(
    engine_home, caplog
):
    first = Pipeline(engine_home).start()
    first.send(plain_body(1, 3))
    done = threading.Event()
    first.log.append("default", b"from the future", 1, lambda error: done.set(), 200)
    assert done.wait(60)
    first.stop()
    assert len(first.kept_aside.bodies()) == 1
    second = Pipeline(engine_home).start()
    second.stop()
    assert "does not have what" not in caplog.text
