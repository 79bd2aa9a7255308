"""What plain calls are made of: one span for a fact, with values of any kind made fit to be sent.

A fact that was told wrongly is still a fact: what can be recorded is recorded, and the mistake is logged,
once a minute at most. Under pytest it is raised, so that tests of an agent find it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.context import get_current
from opentelemetry.trace import get_current_span

from tachograph import _recorder
from tachograph._failure import MESSAGE_LIMIT_CHARS, safe_text
from tachograph._frame import frame_of
from tachograph._given import NAME_LIMIT_CHARS, number, text, usd_of
from tachograph._guard import guarded, say_rarely, under_pytest
from tachograph._spans import NOTHING, SpanHandle, handle_for, open_span
from tachograph_schemas import names

_VERBS = {"validation": "validate", "eval": "evaluate", "tool": "execute_tool"}
"""What was done, where the layer is named otherwise."""


def misused(call: str, problem: str) -> None:
    """Say that ``call`` was given something that makes no sense; the record goes on without it.

    Raises:
        ValueError: under pytest only.
    """
    if under_pytest():
        raise ValueError(f"tacho.{call}: {problem}")
    say_rarely(f"misused:{call}", "tachograph: %s: %s", call, problem)


def one_of(call: str, what: str, given: object, known: Iterable[str]) -> str | None:
    """``given`` as a word; one that is not among ``known`` is logged and recorded all the same."""
    if given is None:
        return None
    word = safe_text(given, NAME_LIMIT_CHARS)
    allowed = tuple(known)
    if word not in allowed:
        misused(call, f"{what} is {word!r}; it should be one of {', '.join(allowed)}")
    return word


def price(call: str, given: object) -> float | None:
    """``given`` as US dollars; None when it is no amount from 0 to :data:`~._given.MOST_USD`, which is logged."""
    found = usd_of(given)
    if found is None and given is not None:
        misused(call, f"{text(given)} is no amount of 0 or more")
    return found


def fit(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as they can be sent: numbers and booleans as such, all else as bounded text."""
    found: dict[str, Any] = {}
    for key, value in attributes.items():
        kind = type(value)
        if value is None or (kind is str and not value):
            continue
        plain = number(value)
        found[key] = safe_text(value, MESSAGE_LIMIT_CHARS) if plain is None else plain
    return found


def begin(layer: names.Layer, label: object, attributes: Mapping[str, Any]) -> SpanHandle:
    """Start the span of a fact; its name is the first word and what it is about."""
    if _recorder.active() is None:
        return NOTHING
    with guarded("recording a fact"):
        name = f"{_VERBS.get(layer, layer)} {safe_text(label, NAME_LIMIT_CHARS)}"
        return open_span(layer, name, fit(attributes))
    return NOTHING


def record(layer: names.Layer, label: object, attributes: Mapping[str, Any]) -> None:
    """Record a fact that has no payload."""
    begin(layer, label, attributes).end()


def describe(layer: names.Layer, label: str, attributes: Mapping[str, Any]) -> None:
    """Add facts to the span of ``layer`` that this code is in; outside of one they get a span."""
    recorder = _recorder.active()
    if recorder is None:
        return
    with guarded("recording a fact"):
        span, frame = get_current_span(), frame_of()
        own = getattr(span, "attributes", None) or {}
        # A span of somebody else's may be open inside ours: it is not the one to describe.
        if frame.layer == layer and own.get(names.LAYER) == layer:
            handle_for(recorder, span, frame, get_current()).set(fit(attributes))
        else:
            record(layer, label, attributes)


def json_text(value: Any) -> str:
    """Names and counts as JSON."""
    return json.dumps(value, ensure_ascii=False)
