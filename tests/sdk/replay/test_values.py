"""Scenarios of values: what goes through a tape comes out exact, and what cannot says so."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import enum
import json
import random
import secrets
import time
import uuid
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from taped import assert_identical

import tachograph as tacho
from tachograph.replay import _kinds  # noqa: F401 - registers what values may be
from tachograph.replay._codec import dumps, loads
from tachograph.replay._run import replay
from tachograph.replay._types import Types
from tachograph_schemas import tapes as form


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    id: str
    paid: Decimal


class OutOfStockError(LookupError):
    def __init__(self, sku, left):
        super().__init__(sku)
        self.left = left


ODD = [
    *(float("inf"), -0.0, 10**40, 10**3000, "\ud800", (1, (2,)), {1: "a", (1, 2): "b"}),
    *({1, 2, 3}, frozenset("a"), Decimal("1.10"), b"\x00\xff", bytearray(b"x"), 3 + 4j),
    *(dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC), dt.timedelta(days=-1)),
    *(uuid.UUID(int=7), Colour.RED, Order("o", Decimal(3)), {"$": "looks like a tag"}),
]


def names_the_classes() -> tuple[Colour, Order]:
    """Stands for the code of a run."""


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_odd_values(value):
    text, opaque = dumps(value)
    types = Types()
    types.meet(names_the_classes)
    back = loads(json.loads(text), types.find)
    assert not opaque
    assert type(back) is type(value)
    assert back == value
    assert repr(back) == repr(value)


def test_not_a_number():
    assert str(loads(json.loads(dumps(float("nan"))[0]))) == "nan"


JSON_LIKE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=30,
)


@given(JSON_LIKE)
@settings(max_examples=200, deadline=None)
def test_codec_is_exact(value):
    back = loads(json.loads(dumps(value)[0]))
    assert repr(back) == repr(value)


@tacho.tool
def sell(sku):
    raise OutOfStockError(sku, 3) from KeyError("shelf")


@tacho.run
def tool_exception():
    try:
        sell("S-1")
    except OutOfStockError as error:
        return [type(error).__name__, error.left, repr(error.__cause__)]


def test_tool_exception(tapes):
    (_, result), recording = tapes.record(tool_exception)
    assert result == ["OutOfStockError", 3, "KeyError('shelf')"]
    assert_identical(replay(recording, tool_exception))


@tacho.run
async def time_in_prompt():
    return [
        *(time.time(), time.time_ns(), time.monotonic(), time.perf_counter()),
        *(str(dt.datetime.now()), str(dt.datetime.now(dt.UTC))),  # noqa: DTZ005 - read too
        *(str(dt.datetime.utcnow()), str(dt.date.today())),  # noqa: DTZ003, DTZ011 - read too
    ]


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")
def test_time_in_prompt(tapes):
    (_, result), recording = tapes.record(time_in_prompt)
    assert len(result) == 8
    assert_identical(replay(recording, time_in_prompt))


@tacho.run
def random_choice():
    items = list(range(20))
    random.shuffle(items)
    return [
        *(items, random.random(), random.randint(1, 99), random.choice("abc"), random.gauss(0, 1)),
        *(random.Random().random(), random.SystemRandom().random(), secrets.token_hex(4)),
        *(str(uuid.uuid4()), str(uuid.uuid1())),
    ]


def test_random_choice(tapes):
    """random-choice and uuid-ids."""
    _, recording = tapes.record(random_choice)
    assert_identical(replay(recording, random_choice))


def test_the_seed_of_the_program_is_respected(tapes):
    random.seed(5)
    expected = random.random()

    @tacho.run
    def seeded():
        random.seed(5)
        return random.random()

    (_, result), recording = tapes.record(seeded)
    assert result == expected
    assert_identical(replay(recording, seeded))


@tacho.run
def env_read():
    import os

    return [os.environ.get("TACHO_TEST_COLOUR"), os.getenv("TACHO_TEST_NONE", "default")]


def test_env_read(tapes, monkeypatch):
    """The recorded value wins over the one of now."""
    monkeypatch.setenv("TACHO_TEST_COLOUR", "red")
    (_, result), recording = tapes.record(env_read)
    assert result == ["red", "default"]
    monkeypatch.setenv("TACHO_TEST_COLOUR", "blue")
    assert_identical(replay(recording, env_read))


@tacho.run
def with_a_secret_variable():
    import os

    return connect(password=os.environ["TACHO_TEST_PASSWORD"])["ok"]


def test_secrets_of_the_environment(tapes, monkeypatch):
    """A variable whose name says so is masked; the replay goes the same way with the mask."""
    monkeypatch.setenv("TACHO_TEST_PASSWORD", "hunter2-hunter2")
    _, recording = tapes.record(with_a_secret_variable)
    assert "hunter2" not in json.dumps(recording.records)
    assert recording.reads["", "os.environ[TACHO_TEST_PASSWORD]"][0].startswith("[redacted:")
    assert_identical(replay(recording, with_a_secret_variable))


@tacho.tool
def download(megabytes):
    return {"text": "x" * (megabytes << 20), "bytes": b"\x01" * 5_000}


@tacho.run
def large_payload():
    return len(download(8)["text"]), len(download(8)["bytes"])


def test_large_payload(tapes):
    """large-payload, binary-multimodal; equal payloads are on the tape once."""
    _, recording = tapes.record(large_payload)
    assert len(recording.blobs) == 1
    assert_identical(replay(recording, large_payload))


@tacho.tool
def connect(password):
    return {"authorization": "Bearer sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789", "ok": True}


@tacho.run
def with_secrets(api_key):
    return connect(password=api_key)["ok"]


def test_secrets(tapes):
    """Keys are masked before the tape, and the replay still matches."""
    _, recording = tapes.record(with_secrets, "hunter2-hunter2-hunter2")
    text = json.dumps(recording.records)
    assert "hunter2" not in text
    assert "sk-ant-api03-abc" not in text
    assert_identical(replay(recording, with_secrets))


@tacho.tool
def cursor():
    return open(__file__)  # noqa: PTH123 - a handle that no tape can hold


@tacho.run
def opaque_handle():
    with cursor() as handle:
        return handle.name


def test_opaque_handle(tapes):
    """What cannot be recorded stops the replay with its class, and never the agent."""
    (outcome, _), recording = tapes.record(opaque_handle)
    assert outcome == "ok"
    found = replay(recording, opaque_handle).divergence
    assert found.kind == "DECODE"
    assert "TextIOWrapper" in found.message


def test_damage_in_the_middle_is_told_and_a_torn_tail_accepted(tapes):
    """crash-anywhere: truncated tail accepted, holes never."""
    asyncio.run(record_many())
    recording = tapes.newest()
    data = b""
    crc = 0
    for record in recording.records:
        line, crc = form.frame(json.dumps(record, separators=(",", ":")), crc)
        data += line
    whole = list(form.lines_of(data, whole=True))
    for cut in range(0, len(data), 37):
        found = list(form.lines_of(data[:cut]))
        assert found == whole[: len(found)]
    lines = data.splitlines(keepends=True)
    with pytest.raises(ValueError, match="damaged"):
        list(form.lines_of(b"".join(lines[:2] + lines[3:])))


@tacho.run
async def record_many():
    for number in range(5):
        try:
            sell(number)
        except LookupError:
            await asyncio.sleep(0)


@tacho.run
def forks():
    import os

    pid = os.fork()
    if not pid:
        download(1)
        os._exit(0)
    os.waitpid(pid, 0)
    return len(download(1)["text"])


@pytest.mark.filterwarnings("ignore:This process")
def test_a_forked_child_leaves_the_tape_alone(tapes):
    (outcome, _), recording = tapes.record(forks)
    assert outcome == "ok"
    assert len(recording.calls) == 1


def test_light_mode_keeps_digests_only(tapes):
    from tachograph.replay._tape import digest_of

    tapes.session.light, tapes.session.redact = True, digest_of
    _, recording = tapes.record(with_secrets, "hunter2-hunter2-hunter2")
    assert recording.run["mode"] == "light"
    assert [call.args["$"] for call in recording.calls] == ["digest"]
    assert "hunter2" not in json.dumps(recording.records)
