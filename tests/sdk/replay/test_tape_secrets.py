"""What the user's own rules mask in a span is masked on the tape, too."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import pytest
from taped import taping

import tachograph as tacho
from tachograph import _config, _fingerprint, _masks
from tachograph._redact import Redactor
from tachograph.replay._play import Player
from tachograph.replay._run import replay
from tachograph.replay._session import masking

SECRET = "fourty-two-and-no-shape"
LONG = "filling " * 132_000


@dataclass
class Order:
    card: str
    note: str = "a note"


@tacho.tool
def pay(order):
    return {"paid": order, "note": "x" * 100}


@tacho.effect
async def confirm(order):
    await asyncio.sleep(0)
    return [order]


@tacho.run
async def shopping(order, note=""):
    return {"order": await confirm(order), "paid": pay(order), "note": note}


def raw_tape(folder, redactor, order, note):
    """The bytes of the tape of a run that is given a secret."""
    with taping(folder, redactor) as tapes:
        assert asyncio.run(shopping(order, note))["note"] == note
        assert tapes.session.drain.wait(60)
        return tapes.paths[-1].read_bytes()


@pytest.mark.parametrize(
    ("order", "note"),
    [
        ({"card": SECRET}, "short"),
        (Order(SECRET), "short"),
        ({"card": SECRET, "é": "non-ASCII" * 50}, "short"),
        (Order(SECRET), LONG),
    ],
    ids=["plain", "object", "non-ASCII", "long"],
)
def test_paths_are_those_of_spans(tmp_path, order, note):
    places = ["tacho.input.order", "tacho.output.order.0", "tacho.output.paid.paid"]
    places += [
        f"gen_ai.tool.call.{each}" for each in ("arguments.order", "result.paid", "result.0")
    ]
    redactor = Redactor(paths=[f"{place}.card" for place in places])
    raw = raw_tape(tmp_path, redactor, order, note)
    assert SECRET.encode() not in raw
    assert raw.count(b"[redacted:rule:") >= len(places)


def test_functions_are_told_the_name_that_a_span_has(tmp_path):
    names = set()

    def rule(name, text):
        names.add(name)
        return text.replace(SECRET, "gone")

    raw = raw_tape(tmp_path, Redactor([rule]), {"card": SECRET}, "")
    assert SECRET.encode() not in raw
    assert {"tacho.input", "tacho.output"} <= names
    assert {"gen_ai.tool.call.arguments", "gen_ai.tool.call.result"} <= names


@tacho.run
async def changed(order, note=""):
    return {"order": await confirm(order), "paid": pay([order, "more"]), "note": note}


@pytest.fixture
def recording(tmp_path):
    """Of a run whose program has rules of its own."""
    _masks.use([], _config.read({"redact_paths": PATHS}))
    with taping(tmp_path, _masks.redactor()) as tapes:
        _, made = tapes.record(shopping, {"card": SECRET})
    yield made
    _masks.forget()


PATHS = ["*.card"]


def test_a_replay_masks_as_the_recording_did(recording):
    """What is shown of it is masked, and what was masked is no difference."""
    found = replay(recording, shopping)
    assert found.identical, found.divergence
    assert "[redacted:rule:" in json.dumps(found.output)
    other = replay(recording, changed).as_dict()
    assert other["divergence"]["kind"] == "ARGS_CHANGED"
    assert SECRET not in json.dumps([found.as_dict(), other])


def test_a_replay_that_does_not_know_the_rules_shows_nothing(recording):
    _masks.forget()
    found = replay(recording, changed).as_dict()
    assert "rules of the program that are not known here" in found["divergence"]["message"]
    assert found["divergence"]["actual"] is None
    assert found["divergence"]["changes"] == []


@pytest.mark.parametrize(("key", "kind"), [("one", "ARGS_CHANGED"), ("two", None)])
def test_other_secrets_are_told_apart_where_the_key_is(tmp_path, key, kind):
    """Marks need the key of the machine that made them; elsewhere a masked value is taken for the same."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    cards = [SECRET]

    @tacho.run
    def paying():
        return pay({"card": cards[0]})["note"]

    try:
        _fingerprint.keep_key_in(tmp_path / "one")
        redactor = Redactor(paths=PATHS)
        with taping(tmp_path, redactor) as tapes:
            _, recording = tapes.record(paying)
            _fingerprint.keep_key_in(tmp_path / key)
            same, cards[0] = replay_with(redactor, recording, paying), "another"
            other = replay_with(redactor, recording, paying)
    finally:
        _fingerprint.keep_key_in(None)
    assert same.identical
    assert (other.divergence and other.divergence.kind) == kind


def replay_with(redactor, recording, agent):
    return replay(recording, agent, player=Player(recording, masking(redactor)))
