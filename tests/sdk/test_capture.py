"""Payload capture: valid JSON within the limit, whatever the value is, and cheap when it is huge."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import pathlib
import time
import typing
import uuid

import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tachograph._capture import capture

LIMIT = 65_536


def captured(value, limit=LIMIT):
    text, _ = capture(value, limit)
    assert len(text.encode("utf-8")) <= max(limit, 16)
    return json.loads(text)


class Hostile:  # noqa: PLW1641 - its __hash__ is assigned below
    """Everything that can raise does."""

    @property
    def __class__(self):
        raise RuntimeError

    def __repr__(self):
        raise RuntimeError

    __str__ = __iter__ = __len__ = __bool__ = __hash__ = __getattr__ = __repr__

    def __eq__(self, other):
        raise RuntimeError


class HostileList(list):
    def __iter__(self):
        raise RuntimeError

    __len__ = __repr__ = __iter__


class HostileDict(dict):
    def items(self):
        raise RuntimeError

    __len__ = __iter__ = keys = values = __repr__ = items


class Text(str):
    __slots__ = ()

    def __str__(self):
        raise RuntimeError

    __repr__ = __len__ = __iter__ = encode = __str__


class Number(int):
    def __repr__(self):
        raise RuntimeError

    __str__ = __int__ = __index__ = __repr__


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Order:
    id: int
    lines: list[str]


class Model(pydantic.BaseModel):
    name: str
    key: pydantic.SecretStr


class BadModel:
    def model_dump(self, mode):
        raise RuntimeError


class Point(typing.NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 2.5, None, True, "é"]}, {"a": [1, 2.5, None, True, "é"]}),
        ((1, (2,)), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ([math.nan, math.inf, -math.inf], ["NaN", "Infinity", "-Infinity"]),
        (2**70, 2**70),
        (10**5000, {"$int_bits": 16610}),
        (b"abc", {"$bytes": 3, "base64": "YWJj"}),
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "2026-01-02T03:04:05+00:00"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.timedelta(seconds=90), "0:01:30"),
        (decimal.Decimal("1.20"), "1.20"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (Color.RED, "red"),
        (Order(7, ["x"]), {"id": 7, "lines": ["x"]}),
        (Model(name="n", key=pydantic.SecretStr("s")), {"name": "n", "key": "**********"}),
        (Point(1, 2), {"x": 1, "y": 2}),
        (collections.deque([1, 2]), [1, 2]),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        ({"a": 1}.keys(), ["a"]),
        (range(3), [0, 1, 2]),
        (ValueError("bad"), {"$exception": "builtins.ValueError", "message": "bad"}),
        (len, {"$callable": "builtins.len"}),
        (
            {1: "a", None: "b", False: "c", (1, "x"): "d"},
            {"1": "a", "false": "c", "null": "b", "(1, x)": "d"},
        ),
        ("lone \ud800", "lone ?"),
        ({"\ud800": 1}, {"?": 1}),
        ({object(): 1}, {"<builtins.object>": 1}),
        (object(), {"$unserialisable": "builtins.object"}),
        ((n for n in range(3)), {"$unserialisable": "builtins.generator"}),
        (HostileList([1, 2]), [1, 2]),
        (HostileDict(a=1), {"a": 1}),
        (Text("plain"), "plain"),
        (Number(5), 5),
    ],
    ids=lambda value: "",
)
def test_values_are_written_readably(value, expected):
    """Each kind of value has one form."""
    assert captured(value) == expected


@pytest.mark.parametrize(
    "make",
    [
        Hostile,
        lambda: [Hostile()],
        lambda: {"a": Hostile()},
        BadModel,
        lambda: Order(Hostile(), []),
    ],
)
def test_hostile_objects_become_placeholders(make):
    """No code of theirs may break or fool the record. (Made inside: pytest itself trips over them.)"""
    assert "$unserialisable" in json.dumps(captured(make()))


def test_property_that_raises_costs_that_field_only():
    """The other fields are still worth having."""

    @dataclasses.dataclass
    class Half:
        good: int

        def __getattribute__(self, name):
            if name == "bad":
                raise OSError
            return super().__getattribute__(name)

        bad: int = 0

    assert captured(Half(1)) == {"good": 1, "bad": {"$unreadable": "builtins.OSError"}}


def test_numpy_and_pandas_are_described_by_shape():
    """Arrays are data, not a record; their shape says enough."""
    np = pytest.importorskip("numpy")
    array = captured(np.zeros((3, 4)))
    assert array == {"$array": "numpy.ndarray", "shape": [3, 4], "dtype": "float64"}
    assert captured([np.float64(1.5), np.int64(3), np.bool_(True)]) == [1.5, 3, True]
    pd = pytest.importorskip("pandas")
    table = captured(pd.DataFrame({"a": [1], "b": [2]}))
    assert (table["shape"], table["columns"]) == ([1, 2], ["a", "b"])


def test_cycles_and_depth_end():
    """Neither recursion nor the reader's patience is endless."""
    ring: list = [1]
    ring.append(ring)
    assert captured(ring) == [1, {"$cycle": "builtins.list"}]
    deep: list = []
    for _ in range(5_000):
        deep = [deep]
    assert "$too_deep" in json.dumps(captured(deep))
    shared = [1]
    assert captured([shared, shared]) == [[1], [1]]


def test_cut_strings_keep_their_beginning_and_are_counted():
    """The attribute must stay valid JSON, and the loss be known."""
    text, cut_bytes = capture("x" * 1_000, 100)
    assert json.loads(text) == "x" * 95 + "…"
    assert cut_bytes == 905
    text, cut_bytes = capture({"keep": 1, "long": ["y" * 50] * 100}, 300)
    assert json.loads(text)["keep"] == 1
    assert 4_000 < cut_bytes < 6_000


@pytest.mark.parametrize(
    "value",
    [["x" * 100] * 1_000_000, {"a": "y" * 300_000_000}, dict.fromkeys(range(1_000_000), "z" * 50)],
    ids=["list", "string", "dict"],
)
def test_huge_arguments_cost_little(value):
    """Only as much is looked at as fits into the record."""
    started = time.process_time()
    text, cut_bytes = capture(value, LIMIT)
    assert time.process_time() - started < 1
    assert len(text) <= LIMIT
    assert cut_bytes > 1_000_000


keys = st.one_of(
    st.text(st.characters()), st.integers(), st.none(), st.booleans(), st.binary(max_size=4)
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters()),
    st.binary(),
    st.datetimes(),
    st.decimals(),
    st.uuids(),
    st.just(Hostile),
    st.builds(Hostile),
    st.builds(BadModel),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner),
        st.tuples(inner, inner),
        st.dictionaries(keys, inner),
        st.builds(HostileList, st.lists(inner)),
        st.builds(Order, inner, inner),
    ),
    max_leaves=30,
)


@given(trees, st.integers(0, 2_000))
@example([BadModel(), [Hostile, BadModel()]], 204)  # the reason of the second does not fit
def test_output_is_valid_json_within_the_limit(value, limit):
    """For every value and every limit; nothing is said to be cut when nothing was."""
    text, cut_bytes = capture(value, limit)
    json.loads(text)
    assert len(text.encode("utf-8")) <= max(limit, 16)
    whole, cut_of_whole = capture(value, 10_000_000)
    assert cut_of_whole == 0
    assert (cut_bytes == 0) == (text == whole)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


@given(json_values)
def test_plain_json_comes_back_as_it_was(value):
    """What is JSON already is recorded exactly."""
    text, cut_bytes = capture(value, 10_000_000)
    assert json.loads(text) == value
    assert cut_bytes == 0
