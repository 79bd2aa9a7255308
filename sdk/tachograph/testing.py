"""Test kit: collect the spans that a test's code makes, in memory, without a collector.

::

    from tachograph.testing import captured_spans

    def test_refund_is_gated():
        with captured_spans() as spans:
            handle("refund order 7")
        assert spans.one(layer="gate").attributes["tacho.gate.verdict"] == "deny"

``captured_spans(deterministic=True)`` counts ids and steps the clock, so that two runs of the same code give equal
records. Payloads are as recorded; redaction happens later, in the exporter, and is not part of what is seen here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from tachograph import _recorder, _setup
from tachograph._waits import Mutex
from tachograph_schemas import names

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

FIRST_MOMENT_NS = 1_767_225_600_000_000_000
"""2026-01-01 00:00:00 UTC: when the first span of a deterministic record starts."""
STEP_NS = 1_000_000_000
"""Between two moments of a deterministic record."""

__all__ = ["FIRST_MOMENT_NS", "STEP_NS", "Event", "SpanList", "SpanRecord", "captured_spans"]


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a span."""

    name: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """A finished span as a plain record."""

    name: str
    layer: str
    attributes: Mapping[str, Any]
    status: Literal["ok", "error", "unset"]
    status_message: str
    span_id: str
    """16 hexadecimal digits."""
    parent_id: str | None
    """The span id of the parent; None for the first span of a trace."""
    parent: str | None
    """The name of the parent when it was captured as well."""
    trace_id: str
    """32 hexadecimal digits."""
    start_time_ns: int
    end_time_ns: int
    events: tuple[Event, ...] = ()

    @property
    def run_id(self) -> str | None:
        """The run it belongs to."""
        value: str | None = self.attributes.get(names.RUN_ID)
        return value

    @property
    def input(self) -> Any:
        """The captured arguments, parsed; None when there are none."""
        return _parsed(self.attributes.get(names.input_name(self.layer)))

    @property
    def output(self) -> Any:
        """The captured result, parsed; None when there is none."""
        return _parsed(self.attributes.get(names.output_name(self.layer)))


def _parsed(text: Any) -> Any:
    return json.loads(text) if isinstance(text, str) else None


class SpanList:
    """The spans finished so far, in the order in which they ended."""

    def __init__(self, *, deterministic: bool = False) -> None:
        self._deterministic = deterministic
        self._finished: list[ReadableSpan] = []
        self._lock = Mutex()

    def _keep(self, span: ReadableSpan) -> None:
        with self._lock:
            self._finished.append(span)

    def all(self) -> list[SpanRecord]:
        """Every span finished so far."""
        with self._lock:
            finished = list(self._finished)
        labels = {span.context.span_id: span.name for span in finished if span.context}
        records = [_record(span, labels) for span in finished]
        return _steadied(records) if self._deterministic else records

    def where(self, *, layer: str | None = None, name: str | None = None) -> list[SpanRecord]:
        """The spans of a layer, of a name, or of both."""
        return [
            span
            for span in self.all()
            if (layer is None or span.layer == layer) and (name is None or span.name == name)
        ]

    def one(self, *, layer: str | None = None, name: str | None = None) -> SpanRecord:
        """The only such span.

        Raises:
            AssertionError: there is none, or more than one; says which spans there are.
        """
        found = self.where(layer=layer, name=name)
        if len(found) != 1:
            seen = (
                ", ".join(f"{span.layer}:{span.name}" for span in self.all()) or "no spans at all"
            )
            raise AssertionError(f"{len(found)} spans with {layer=} {name=} among: {seen}")
        return found[0]

    def __iter__(self) -> Iterator[SpanRecord]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self._finished)

    def __getitem__(self, index: int) -> SpanRecord:
        return self.all()[index]


def _record(span: ReadableSpan, labels: Mapping[int, str]) -> SpanRecord:
    context, parent = span.get_span_context(), span.parent
    assert context is not None
    attributes = dict(span.attributes or {})
    status: dict[str, Literal["ok", "error", "unset"]] = {"OK": "ok", "ERROR": "error"}
    return SpanRecord(
        name=span.name,
        layer=str(attributes.get(names.LAYER, "other")),
        attributes=attributes,
        status=status.get(span.status.status_code.name, "unset"),
        status_message=span.status.description or "",
        span_id=format(context.span_id, "016x"),
        parent_id=None if parent is None else format(parent.span_id, "016x"),
        parent=None if parent is None else labels.get(parent.span_id),
        trace_id=format(context.trace_id, "032x"),
        start_time_ns=span.start_time or 0,
        end_time_ns=span.end_time or 0,
        events=tuple(Event(event.name, dict(event.attributes or {})) for event in span.events),
    )


def _steadied(records: list[SpanRecord]) -> list[SpanRecord]:
    """The same records with ids that count and times that step, wherever they stand."""
    started = sorted(records, key=lambda span: span.start_time_ns)
    moments = sorted({at for span in records for at in (span.start_time_ns, span.end_time_ns)})
    clock = {at: FIRST_MOMENT_NS + number * STEP_NS for number, at in enumerate(moments)}
    ids: dict[str, str] = {}
    for kind, digits in (("trace_id", 32), ("parent_id", 16), ("span_id", 16), ("run_id", 32)):
        # Parents are named first: one that has not ended is known by its children alone.
        found = dict.fromkeys(getattr(span, kind) for span in started)
        for real in found:
            if real is not None and real not in ids:
                count = sum(len(steady) == digits for steady in ids.values()) + 1
                ids[real] = format(count, f"0{digits}x")
    return [_renamed(span, ids, clock) for span in records]


def _renamed(span: SpanRecord, ids: Mapping[str, str], clock: Mapping[int, int]) -> SpanRecord:
    def steady(text: Any) -> Any:
        if isinstance(text, str):
            for real, counted in ids.items():
                text = text.replace(real, counted)
        return text

    return replace(
        span,
        attributes={key: steady(value) for key, value in span.attributes.items()},
        events=tuple(
            Event(event.name, {key: steady(value) for key, value in event.attributes.items()})
            for event in span.events
        ),
        span_id=ids[span.span_id],
        parent_id=None if span.parent_id is None else ids[span.parent_id],
        trace_id=ids[span.trace_id],
        start_time_ns=clock[span.start_time_ns],
        end_time_ns=clock[span.end_time_ns],
    )


@contextmanager
def captured_spans(*, deterministic: bool = False) -> Iterator[SpanList]:
    """Collect every span that ends while the block runs, those of foreign instrumentation included.

    Args:
        deterministic: Ids count from 1 in the order in which spans started, also where they stand in
            attributes; every moment is :data:`STEP_NS` after the one before, from :data:`FIRST_MOMENT_NS` on.

    Works with and without ``tacho.init()``: without it a recorder that exports nothing is put to use
    for the block. Blocks may be nested; each sees the spans of its own time.
    """
    before = _recorder.active()
    recorder = before if before is not None else _setup.recorder_without_export()
    spans = SpanList(deterministic=deterministic)
    with recorder.lock:
        recorder.sinks.append(spans._keep)
    _recorder.activate(recorder)
    try:
        yield spans
    finally:
        if (
            _recorder.active() is recorder
        ):  # else ``init`` was called in the block, and stays in force
            _recorder.activate(before)
        with recorder.lock:
            recorder.sinks.remove(spans._keep)
