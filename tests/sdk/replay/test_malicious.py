"""malicious-tape: what a stranger writes is data. It imports nothing, runs nothing, and takes bounded memory."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import httpx
import pytest
from taped import assert_identical

import tachograph as tacho
from tachograph.replay import register
from tachograph.replay._codec import CodecError, dumps, loads
from tachograph.replay._recording import Recording, RecordingError
from tachograph.replay._run import replay
from tachograph.replay._types import Types
from tachograph_schemas import tapes as form

RAN = []


@dataclasses.dataclass
class Line:
    sku: str


@dataclasses.dataclass
class Cart:
    """Names Line in a quoted annotation only."""

    lines: list[Line]


@dataclasses.dataclass
class BigCart(Cart):
    """A subclass of what the code names."""


@dataclasses.dataclass
class Unnamed:
    """Loaded, and not named by any code of the run."""

    text: str


@dataclasses.dataclass
class Finalized:
    path: str

    def __del__(self):
        RAN.append(self.path)


class Guarded:
    def __init__(self):
        RAN.append("constructed")


class Colour(enum.Enum):
    RED = 1


class StockError(LookupError):
    def __init__(self, sku):
        RAN.append("constructed")
        super().__init__(sku)


class SoldOutError(StockError):
    """Caught as its base."""


def by_helper():
    return Colour.RED


@tacho.tool
def fetch(sku) -> Cart | Finalized:
    if sku == "none":
        raise SoldOutError(sku)
    return BigCart([Line(sku)])


@tacho.run
def shop():
    try:
        fetch("none")
    except StockError as error:
        said = type(error).__name__
    return said, fetch("S-1"), by_helper()


@pytest.fixture(autouse=True)
def nothing_ran():
    RAN.clear()


def tree_of(value):
    return json.loads(dumps(value)[0])


def named(*functions):
    types = Types()
    for function in functions:
        types.meet(function)
    return types.find


def test_classes_that_the_code_names_come_back(tapes):
    """By an annotation, a quoted field, a subclass, a handler: a program needs to register nothing."""
    _, recording = tapes.record(shop)
    RAN.clear()
    assert_identical(replay(recording, shop))
    assert not RAN  # no constructor


def test_a_loaded_class_that_no_code_names_is_refused():
    tree = tree_of(Unnamed("x"))
    with pytest.raises(CodecError, match=r"Unnamed is not named by the code of this run.*register"):
        loads(tree, named(shop, fetch))
    register(Unnamed)
    assert loads(tree, named(shop, fetch)) == Unnamed("x")


def test_a_class_with_a_finalizer_is_refused(tapes):
    tree = {"$": "dataclass", "t": f"{__name__}:Finalized", "v": {"path": "/"}}
    with pytest.raises(CodecError, match="Finalized"):
        loads(tree, named(fetch))
    with pytest.raises(TypeError, match="finalizer"):
        register(Finalized)
    assert not RAN


@pytest.mark.parametrize(
    "name", ["antigravity:x", "os:system", "a.b.c:D", "", ":", "builtins:eval"]
)
@pytest.mark.parametrize(
    "kind", ["dataclass", "enum", "namedtuple", "pydantic", "object", "class", "error"]
)
def test_names_import_nothing_and_find_no_functions(kind, name):
    before = set(sys.modules)
    tree = {"$": kind, "t": name, "v": {}, "n": "x", "a": [], "b": "eval", "m": "said"}
    try:
        value = loads(tree, named(shop))
    except CodecError:
        value = None
    assert value is None or type(value).__name__ == "RecordedError"
    assert set(sys.modules) == before


def test_classes_of_other_kinds_are_refused():
    """A class that the code names is still not filled as what it is not."""

    def names():
        return subprocess.Popen, Guarded, Colour, pytest.Item

    for kind in ("dataclass", "enum", "namedtuple", "pydantic", "error", "object"):
        for label in ("subprocess:Popen", f"{__name__}:Colour", "_pytest.nodes:Item"):
            if kind == "enum" and label.endswith("Colour"):
                continue
            tree = {"$": kind, "t": label, "v": {"args": ["true"]}, "n": "x", "a": [], "b": "x"}
            try:
                assert type(loads(tree, named(names))).__name__ == "RecordedError"
            except CodecError:
                continue
    assert not RAN


def test_exceptions_come_from_the_table_or_stand_in():
    """Handlers of the builtin base still work; events of the schedule are none."""

    def error(name, base="LookupError"):
        return loads({"$": "error", "t": name, "b": base, "a": ["why"], "m": "why"})

    assert type(error("builtins:KeyError")) is KeyError
    assert type(error("httpx:ConnectError", "Exception")) is httpx.ConnectError
    assert type(error("httpx:Client", "Exception")).__name__ == "RecordedException"
    stranger = error("evil.package:Gone")
    assert isinstance(stranger, LookupError)
    assert type(stranger).__name__ == "RecordedLookupError"
    for name in ("builtins:KeyboardInterrupt", "builtins:GeneratorExit"):
        assert isinstance(error(name, "BaseException"), Exception)


@pytest.mark.parametrize(
    "tree",
    [
        {"$": "fraction", "v": "1e999999999"},
        {"$": "int", "v": "f" * (2 << 20)},
        {"$": "no such kind"},
        {"$": ["a"]},
        {"$": "dict", "v": [[[1], 2]]},
        {"$": "bytes", "v": "not base64!"},
        {"$": "zone", "v": "../../etc/passwd"},
        {"$": "client", "t": "os:system", "url": "http://x", "retries": 1},
        {"$": "path", "t": "os", "v": "x"},
        {"$": "datetime", "v": [1, 2], "z": None, "f": 0},
        {"$": "defaultdict", "v": [], "f": "exec"},
        {"$": "numpy", "t": "numpy:ndarray", "d": "|O", "n": [1], "v": "AAAAAAAAAAA="},
        {"$": "numpy", "t": "numpy:ndarray", "d": "<f8", "n": [1 << 40], "v": ""},
        {"$": "numpy", "t": "numpy:ndarray", "d": "<U1", "n": [1], "v": "/////w=="},
        *(
            {"$": "error", "t": f"builtins:{name}", "b": name, "m": "", **held}
            for name, held in {
                "UnicodeEncodeError": {"a": ["a", "x", -9_999_999_999, -9_999_999_998, "x"]},
                "OSError": {"a": [], "s": "filename"},
                "ExceptionGroup": {"a": [5], "g": [1]},
            }.items()
        ),
    ],
    ids=lambda tree: str(tree)[:40],
)
def test_malformed_values(tree):
    with pytest.raises(CodecError):
        loads(tree, named(shop))


def test_deep_nesting(tapes, tmp_path):
    """Refused in the file, whatever the interpreter could still parse, and in values."""
    deep: object = 1
    for _ in range(700):
        deep = [deep]
    with pytest.raises(CodecError, match="deeply"):
        loads(deep)
    _, recording = tapes.record(shop)
    recording.records[-1]["v"] = deep
    with pytest.raises(RecordingError, match="500 deep"):
        Recording.from_bytes(recording.packed())
    with pytest.raises(RecordingError):
        Recording.from_bytes(zipped(f'{{"t":"end","v":{"[" * 100_000}'))


def zipped(text: str, blobs=None) -> bytes:
    return form.zipped(form.frame(text, 0)[0], blobs or {})


def test_zip_bomb(tmp_path):
    path = tmp_path / "bomb.tacho"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tape.jsonl", b"0" * (64 << 20))
    tracemalloc.start()
    with pytest.raises(form.PackageError, match="unpacks to more"):
        form.unpack(path.read_bytes(), 1 << 20)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_values_bomb():
    """A small text that would be many small objects is refused before it is parsed."""
    bomb = zipped('{"t":"end","v":[' + "[]," * (form.VALUES_LIMIT // 2) + "0]}")
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    with pytest.raises(RecordingError, match="values"):
        Recording.from_bytes(bomb)
    assert tracemalloc.get_traced_memory()[1] < 128 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x03\x04garbage", b"{}", b"\x00" * 100])
def test_garbage(data):
    with pytest.raises(RecordingError):
        Recording.from_bytes(data)


def test_changed_blob_and_line(tapes):
    @tacho.run
    def long():
        return "x" * 10_000

    _, recording = tapes.record(long)
    package = recording.packed()
    name = next(iter(recording.blobs))
    recording.blobs[name] = "other"
    with pytest.raises(RecordingError, match="not what its name says"):
        Recording.from_bytes(recording.packed())
    records, blobs = form.unpack(package)
    line, _ = form.frame(json.dumps(records[0]), 1)
    with pytest.raises(RecordingError, match="damaged"):
        Recording.from_bytes(form.zipped(line, {}))
    with pytest.raises(RecordingError, match="is missing"):
        Recording(records, {})
    assert list(blobs) == [name]


@pytest.mark.parametrize(
    "change",
    [
        {"env": []},
        {"run_id": 7},
        {"instruments": "openai"},
        {"format": 99},
        {"entry": None},
        {"args": ...},
    ],
    ids=str,
)
def test_malformed_facts(tapes, change):
    _, recording = tapes.record(shop)
    first = {**recording.records[0], **change}
    if first["args"] is ...:
        del first["args"]
    with pytest.raises(RecordingError):
        Recording([first, *recording.records[1:]], recording.blobs)


def test_an_outcome_that_lies_is_a_difference(tapes):
    """Raised, and no exception; a kind that there is none of."""
    _, recording = tapes.record(shop)
    done = next(record for record in recording.records if record["t"] == "done")
    done.update(o="err", v="no exception")
    found = replay(Recording(recording.records, recording.blobs), shop).divergence
    assert found.kind == "DECODE"
    done.update(o="explode")
    with pytest.raises(RecordingError):
        Recording(recording.records, recording.blobs)


def test_the_entrypoint_is_imported_from_the_program_only(tapes, tmp_path):
    from tachograph.replay._entry import find_entry

    _, recording = tapes.record(shop)
    for name in ("subprocess:run", "os:system", "antigravity:fly"):
        recording.run["entry"] = name
        with pytest.raises(RecordingError, match="not under"):
            find_entry(recording, tmp_path)
    Path(tmp_path / "plain.py").write_text("def function(): pass\n")
    recording.run["entry"] = "plain:function"
    with pytest.raises(RecordingError, match=r"no function under @tacho\.run"):
        find_entry(recording, tmp_path)


def test_a_moment_is_exact_without_any_names():
    moment = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    assert loads(tree_of(moment)) == moment
