"""Large runs that keep growing are computed now and then; their end, and a crash, are not waited with."""

from __future__ import annotations

import pytest

from otlp import Trace
from pipeline import Pipeline, until
from tachograph_schemas import ingest
from tachograph_schemas.store import StoreError

ODD = "a 'run' \\ \"with\"\nodd\tcharacters, ünïcode"


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    monkeypatch.setattr(ingest, "LARGE_RUN_SPANS", 20)
    # Longer than any test: what rests does not wake by itself.
    for name in ("_REST_S_PER_SPAN", "_LONGEST_REST_S"):
        monkeypatch.setattr(f"tachograph_collector.rollups.{name}", 3_600.0)


def steps(number: int, first: int, count: int, run: str = "") -> bytes:
    """Children of a root that has not come yet."""
    made = Trace(number)
    for span in range(first, first + count):
        made.span(span, "step", 1, **({"tacho__run__id": run} if run else {}))
    return made.body()


def root(number: int, run: str = "") -> bytes:
    words = {"tacho__run__id": run} if run else {}
    return Trace(number).span(1, "invoke_agent billing", tacho__layer="run", **words).body()


def stored(pipeline: Pipeline, *bodies: bytes) -> None:
    """Send bodies as a batch of their own."""
    before = pipeline.count('records_stored_total{signal="traces"}')
    pipeline.send(*bodies)
    until(lambda: pipeline.count('records_stored_total{signal="traces"}') > before)


@pytest.mark.parametrize("run", ["", ODD])
def test_a_large_run_is_computed_again_when_it_ends_and_not_for_every_batch(engine_home, run):
    pipeline = Pipeline(engine_home).start()
    versions = []
    for first in range(2, 62, 10):
        stored(pipeline, steps(1, first, 10, run))
        stored(pipeline, steps(100 + first, 2, 1))  # others are computed as ever
    stored(pipeline, root(1, run))
    pipeline.stop()
    versions = pipeline.rows(
        "SELECT span_count FROM run_rows WHERE span_count > 2 ORDER BY computed_at_ns"
    )
    assert versions[-1] == (61,)
    assert len(versions) <= 4  # 10 spans, 20 spans, and then its end
    assert pipeline.rows("SELECT count(), max(span_count) FROM runs") == [(7, 61)]
    assert pipeline.log.checkpoint == pipeline.log.committed


def test_a_run_that_only_grew_is_whole_after_a_stop(engine_home):
    pipeline = Pipeline(engine_home).start()
    for first in range(2, 62, 20):
        stored(pipeline, steps(1, first, 20))
    pipeline.stop()
    assert pipeline.rows("SELECT span_count FROM runs") == [(60,)]


def test_the_checkpoint_waits_for_runs_that_rest_so_that_a_crash_forgets_none(
    engine_home, monkeypatch
):
    first = Pipeline(engine_home).start()
    stored(first, steps(1, 2, 20))
    stored(first, steps(1, 22, 20))
    stored(first, steps(2, 2, 1))
    until(lambda: first.log.checkpoint == 1)
    # The process dies: nothing is finished.
    monkeypatch.setattr(first.loader, "_roll_ups", None)
    first.loader._stop.set()
    first.loader._thread.join(20)
    first.log.close()
    assert first.log.checkpoint == 1
    assert first.rows("SELECT max(span_count) FROM runs") == [(20,)]

    second = Pipeline(engine_home).start()
    second.stop()
    assert second.rows("SELECT span_count FROM runs ORDER BY span_count") == [(1,), (40,)]


def test_a_run_whose_rest_is_over_is_computed_without_another_batch(engine_home, monkeypatch):
    monkeypatch.setattr("tachograph_collector.rollups._REST_S_PER_SPAN", 0.01)
    pipeline = Pipeline(engine_home).start()
    stored(pipeline, steps(1, 2, 20))
    stored(pipeline, steps(1, 22, 20))
    until(lambda: pipeline.log.checkpoint == pipeline.log.committed)
    assert pipeline.loader._roll_ups.oldest_waiting is None
    pipeline.stop()
    assert pipeline.rows("SELECT span_count FROM runs") == [(40,)]


def test_a_refused_computation_holds_nothing_up(engine_home, monkeypatch):
    def refuse(runs):
        error = StoreError("Code: 27. DB::Exception: cannot be computed")
        error.code = 27
        raise error

    monkeypatch.setattr("tachograph_collector.rollups._REST_S_PER_SPAN", 0.01)
    pipeline = Pipeline(engine_home).start()
    monkeypatch.setattr(pipeline.engine, "roll_up_runs", refuse)
    stored(pipeline, steps(1, 2, 20))
    stored(pipeline, steps(1, 22, 20))
    until(lambda: pipeline.log.checkpoint == pipeline.log.committed)
    pipeline.stop()


def test_transport_noise_alone_makes_a_resting_run_grow(engine_home):
    pipeline = Pipeline(engine_home).start()
    stored(pipeline, steps(1, 2, 20))
    until(lambda: pipeline.log.checkpoint == 1)
    noise = Trace(1, scope="opentelemetry.instrumentation.requests")
    noise.span(30, "GET", 0, http__request__method="GET")
    stored(pipeline, noise.body())
    pipeline.stop()
    assert pipeline.rows("SELECT countIf(is_infrastructure) FROM spans") == [(1,)]
    assert pipeline.rows("SELECT span_count FROM runs") == [(21,)]


def test_a_run_that_ended_while_it_rested_is_done_with(engine_home):
    pipeline = Pipeline(engine_home).start()
    stored(pipeline, steps(1, 2, 20))
    stored(pipeline, steps(1, 22, 20))
    stored(pipeline, root(1))
    until(lambda: pipeline.log.checkpoint == pipeline.log.committed)
    assert pipeline.loader._roll_ups.oldest_waiting is None
    pipeline.stop()
    assert pipeline.rows("SELECT span_count FROM runs") == [(41,)]
