"""When the engine's data is broken or gone: what the kept log still holds is there again, once."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest

from otlp import plain_body
from pipeline import Pipeline, until
from signal_bodies import all_points, log_body
from tachograph_schemas import store
from tachograph_schemas.store import StoreError

FILES = ["data.bin", "name.bin"]


def corrupt(home, table: str) -> int:
    """Flip bytes in the middle of every data file of a table's parts; returns how many files."""
    changed = 0
    for path in (home / "data" / "store").rglob("*.bin"):
        if not (path.parent / "columns.txt").exists() or "detached" in path.parts:
            continue
        marker = {
            "span_rows": b"parent_span_id",
            "log_rows": b"severity_number",
            "metric_rows": b"point_key",
        }
        if marker[table] not in (path.parent / "columns.txt").read_bytes():
            continue
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 8] = bytes(byte ^ 0xFF for byte in data[middle : middle + 8])
        path.write_bytes(data)
        changed += 1
    return changed


@pytest.fixture(scope="module")
def filled_once(tmp_path_factory):
    """A home whose engine holds spans, logs and metrics that the log still has, all confirmed."""
    home = tmp_path_factory.mktemp("filled")
    # The engine leaves its cache in the working directory.
    with contextlib.chdir(home):
        first = Pipeline(home).start()
        first.send(*[plain_body(trace, 5) for trace in range(1, 11)])
        first.send(log_body(*"abc"), signal="logs")
        first.send(all_points(), signal="metrics")
        first.stop()
    assert first.log.checkpoint == 12
    return home


@pytest.fixture
def filled(engine_home, filled_once):
    """Such a home for one test."""
    for part in ("data", "log"):
        shutil.copytree(filled_once / part, engine_home / part, symlinks=True)
    return engine_home


def assert_whole(pipeline) -> None:
    assert pipeline.rows("SELECT count(), uniqExact(trace_id, span_id) FROM spans") == [(50, 50)]
    assert pipeline.rows("SELECT count(), sum(span_count), sum(tool_calls) FROM runs") == [
        (10, 50, 40)
    ]
    assert pipeline.rows("SELECT count(), uniqExact(body) FROM logs") == [(3, 3)]
    assert pipeline.rows("SELECT count(), uniqExact(name) FROM metrics") == [(6, 5)]
    assert pipeline.log.checkpoint == pipeline.log.committed


@pytest.mark.parametrize("table", ["span_rows", "log_rows", "metric_rows"])
def test_a_part_with_flipped_bytes_is_set_aside_and_its_rows_come_from_the_log(
    filled, table, caplog
):
    assert corrupt(filled, table) >= 1
    again = Pipeline(filled).start()
    again.send(plain_body(11, 0))
    again.stop()
    again.rows("SELECT 1")
    assert again.count(f'engine_parts_broken_total{{table="{table}"}}') >= 1
    said = [
        record.message for record in caplog.records if "stored again from the log" in record.message
    ]
    assert len(said) == 1
    restored = {"span_rows": ("traces", 10), "log_rows": ("logs", 1), "metric_rows": ("metrics", 1)}
    signal, bodies = restored[table]
    assert again.count(f'bodies_restored_total{{signal="{signal}"}}') == bodies
    assert again.rows("SELECT count(), uniqExact(trace_id, span_id) FROM spans FINAL") == [(51, 51)]


def test_what_was_restored_is_there_once_and_a_later_start_finds_nothing_to_do(filled):
    corrupt(filled, "span_rows")
    again = Pipeline(filled).start()
    until(lambda: again.log.checkpoint == 12)
    again.stop()
    assert_whole(again)

    third = Pipeline(filled).start()
    third.stop()
    assert_whole(third)
    assert third.count('bodies_restored_total{signal="traces"}') == 0


def test_a_part_whose_files_are_cut_is_found_by_the_engine_and_restored(filled):
    """The engine moves such parts into ``detached`` by itself when it starts."""
    for path in (filled / "data" / "store").rglob("data.bin"):
        if b"parent_span_id" in (path.parent / "columns.txt").read_bytes():
            path.write_bytes(path.read_bytes()[:100])
    again = Pipeline(filled).start()
    until(lambda: again.log.checkpoint == 12)
    again.stop()
    assert_whole(again)
    assert again.count('engine_parts_broken_total{table="span_rows"}') >= 1


@pytest.mark.parametrize(
    "byte",
    [
        pytest.param(0, id="checksum"),
        pytest.param(16, id="codec"),
        pytest.param(20, id="size"),
        pytest.param(40, id="data"),
    ],
)
def test_runs_whose_rows_are_broken_are_computed_again(filled, byte):
    """Whichever field of a block is wrong: the engine has another error for each."""
    for path in (filled / "data" / "store").rglob("data.bin"):
        if b"layer_counts" in (path.parent / "columns.txt").read_bytes():
            data = bytearray(path.read_bytes())
            data[byte] ^= 0xFF
            path.write_bytes(data)
    again = Pipeline(filled).start()
    until(lambda: again.log.checkpoint == 12)
    again.stop()
    assert_whole(again)


def test_data_that_was_removed_is_loaded_again_from_the_kept_log(filled):
    shutil.rmtree(filled / "data")
    again = Pipeline(filled).start()
    until(lambda: again.log.checkpoint == 12)
    again.stop()
    assert_whole(again)


def test_a_loss_found_before_a_crash_is_still_made_good_after_it(filled):
    corrupt(filled, "span_rows")
    crashing = Pipeline(filled)
    crashing.engine.open()
    assert crashing.loader._healer.heal()  # sets the part aside, and then the process dies
    crashing.engine.close()
    crashing.log.close()

    again = Pipeline(filled).start()
    until(lambda: again.log.checkpoint == 12)
    again.stop()
    assert_whole(again)


def test_broken_data_met_while_running_is_healed_without_a_restart(filled, monkeypatch):
    again = Pipeline(filled).start()
    real = again.engine.stored_after
    broken = []

    def unreadable(*arguments):
        if not broken:
            broken.append(corrupt(filled, "span_rows"))
            error = StoreError("Code: 40. DB::Exception: Checksum doesn't match: corrupted data")
            error.code = 40
            raise error
        return real(*arguments)

    monkeypatch.setattr(again.engine, "stored_after", unreadable)
    again.send(log_body("d"), signal="logs")
    until(lambda: again.log.checkpoint == 13)
    until(lambda: again.count('bodies_restored_total{signal="traces"}') == 10)
    again.stop()
    assert again.rows("SELECT count(), uniqExact(trace_id, span_id) FROM spans") == [(50, 50)]
    assert again.rows("SELECT count() FROM logs") == [(4,)]
    assert again.loader.trouble == ""


def test_rows_of_a_broken_part_that_can_still_be_read_are_kept(engine_home):
    """Nothing of the log is left: only what is in the sound part of the file can be saved."""
    first = Pipeline(engine_home).start()
    first.send(*[plain_body(trace, 1000) for trace in range(1, 31)])
    first.stop()
    shutil.rmtree(engine_home / "log")
    with contextlib.closing(store.connect(f"chdb://{engine_home / 'data'}")) as client:
        # However many inserts it took: one part, with one file for all columns or one for each.
        client.command("OPTIMIZE TABLE span_rows FINAL")
        ((part,),) = client.query(
            "SELECT path FROM system.parts WHERE table = 'span_rows' AND active"
        ).result_rows
    path = max(Path(part).glob("*.bin"), key=lambda file: file.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) - 1000] ^= 0xFF  # in the last granule
    path.write_bytes(data)
    again = Pipeline(engine_home).start()
    again.stop()
    ((rows, distinct),) = again.rows("SELECT count(), uniqExact(trace_id, span_id) FROM spans")
    assert rows == distinct
    assert 16_000 <= rows < 30_000
