"""Values that are huge, endless, cyclic or strange cost little and never break the call."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import json
import sys
import time
import tracemalloc
import types
from collections.abc import Iterable

import pydantic
import pytest

import tachograph as tacho
from tachograph._capture import capture

MIB = 1 << 20
LIMIT_BYTES = 65_536


class LongText(str):
    __slots__ = ()

    def __getitem__(self, _):
        raise RuntimeError

    __len__ = __iter__ = __getitem__


class EndlessDeque(collections.deque):
    def __iter__(self):
        return itertools.count()

    def __len__(self):
        return sys.maxsize


class Holder(pydantic.BaseModel):
    items: Iterable[int]


class Page(pydantic.BaseModel):
    text: str


@dataclasses.dataclass
class Frame:
    rows: object

    def __repr__(self):
        raise AssertionError("repr was asked for")


def cyclic():
    value: list = [1]
    value.append({"again": value})
    return value


def nested(depth):
    value: object = "end"
    for _ in range(depth):
        value = [value]
    return value


HUGE = {
    "text": lambda: "x" * (100 * MIB),
    "subclass of text": lambda: LongText("x" * (50 * MIB)),
    "bytes": lambda: b"x" * (100 * MIB),
    "bytearray": lambda: bytearray(100 * MIB),
    "strided view": lambda: memoryview(bytes(100 * MIB))[::2],
    "list": lambda: [0] * (12 * MIB),
    "tuple": lambda: (None,) * (12 * MIB),
    "set": lambda: set(range(300_000)),
    "dict": lambda: dict.fromkeys(range(300_000)),
    "range": lambda: range(10**18),
    "model": lambda: Page(text="x" * (50 * MIB)),
    "dataclass": lambda: Frame(["x" * (50 * MIB)]),
}


@pytest.mark.parametrize("make", HUGE.values(), ids=HUGE.keys())
def test_huge_values_are_neither_copied_nor_read_whole(make):
    """A few MiB of memory and a moment, whatever the size."""
    value = make()
    tracemalloc.start()
    try:
        started = time.thread_time()
        text, _ = capture(value, LIMIT_BYTES)
        took_s = time.thread_time() - started
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    json.loads(text)
    assert len(text) <= LIMIT_BYTES
    assert peak_bytes < 24 * MIB
    assert took_s < 5


@pytest.mark.parametrize(
    "make",
    [
        itertools.count,
        lambda: (n for n in itertools.count()),
        lambda: map(str, itertools.count()),
        lambda: iter([1, 2]),
        lambda: zip([1], [2], strict=True),
        lambda: enumerate([1, 2]),
    ],
)
def test_iterators_are_not_consumed_at_all(make, spans):
    """What the SDK takes, the agent would miss; and some never end."""
    iterator = make()
    expected = next(make())
    for holder in (iterator, [iterator], {"a": iterator}, Frame(iterator)):
        capture(holder, LIMIT_BYTES)
        tacho.tool(lambda given: given)(holder)
        tacho.checkpoint("c", done=holder if holder is iterator else [], todo=[])
    assert next(iterator) == expected


def test_endless_iterations_behind_known_types_are_not_followed():
    """A subclass iterates for ever; a model holds a generator; a proxy hides anything."""
    assert json.loads(capture(EndlessDeque([1, 2]), 1_000)[0]) == [1, 2]
    holder = Holder(items=itertools.count())
    capture(holder, 1_000)
    assert next(iter(holder.items)) == 0

    class Endless(collections.UserDict):
        def items(self):
            return ((str(n), n) for n in itertools.count())

    text, _ = capture(types.MappingProxyType(Endless()), 1_000)
    assert "$unserialisable" in text


@pytest.mark.parametrize(
    "make",
    [
        cyclic,
        lambda: nested(1_000),
        lambda: nested(100_000),
        lambda: {
            float("nan"): float("nan"),
            None: 1,
            (1, 2): 2,
            frozenset(): 3,
            b"\xff": 4,
            1.5: 5,
        },
        lambda: "\ud800 and \udfff",
        lambda: {"\ud800": ["\udc00"]},
        lambda: b"\xff\xfe\x00",
        type("Frame", (), {"shape": (10**9, 2), "dtypes": {}, "columns": range(10**9)}),
        type("Array", (), {"shape": (10**9,), "dtype": "f8", "__repr__": lambda _: "x" * 10**9}),
        lambda: -(10**100_000),
        lambda: type,
        lambda: print,
    ],
)
def test_strange_values_are_recorded_as_valid_json(make, spans):
    """And come back from the decorated call as the same object."""
    value = make()
    text, _ = capture(value, LIMIT_BYTES)
    json.loads(text)
    text.encode("utf-8")
    assert tacho.step(lambda given: given)(value) is value
    if isinstance(value, list):
        while isinstance(value, list) and value and isinstance(value[0], list):
            value = value.pop()  # taken apart by hand: freeing it at once is recursive


SCRIPT = """
import os, sys
import tachograph as tacho

@tacho.run(agent="a")
def work(password): return password

assert work("never") == "never"
tacho.init(endpoint="http://127.0.0.1:9", heartbeat_s=0)
tacho.init(endpoint="http://127.0.0.1:9", service="again")
assert work("twice") == "twice"
child = os.fork()
if child == 0:
    assert work("child") == "child"
    tacho.init()
    assert work("again") == "again"
    tacho.shutdown(0.1)
    assert work("after") == "after"
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
tacho.shutdown(0.1)
assert work("after") == "after"
print("done")
"""


@pytest.mark.parametrize("home", ["missing/deep", "file", "/proc/nowhere", "bad\u0001name"])
def test_init_never_twice_forked_and_without_a_home(run_script, tmp_path, home):
    """The agent runs to its end whatever the home is; one that is made is for its owner alone."""
    (tmp_path / "file").write_text("no directory")
    assert run_script(SCRIPT, TACHO_HOME=home).stdout == "done\n"
    made = tmp_path / "missing" / "deep"
    assert not made.exists() or made.stat().st_mode & 0o077 == 0


def test_deep_recursion_of_decorated_functions_works(run_script):
    """A thousand spans deep."""
    script = (
        "import sys\nimport tachograph as tacho\n"
        "from tachograph.testing import captured_spans\n"
        "sys.setrecursionlimit(6_000)\n"
        "@tacho.step\n"
        "def down(n): return 0 if n == 0 else 1 + down(n - 1)\n"
        "with captured_spans() as spans: print(down(1_000), len(spans))\n"
    )
    assert run_script(script).stdout == "1000 1001\n"


def test_endless_recursion_ends_as_it_does_without_us(run_script):
    """With RecursionError, not with a fault of ours or a crash."""
    script = (
        "import tachograph as tacho\n"
        "from tachograph.testing import captured_spans\n"
        "@tacho.step\n"
        "def down(n): return 1 + down(n + 1)\n"
        "with captured_spans():\n"
        "    try: down(0)\n"
        "    except RecursionError as error: print(type(error).__name__)\n"
        "    print(tacho.step(lambda: 5)())\n"
    )
    assert run_script(script).stdout == "RecursionError\n5\n"
