"""A run across processes and machines: its context as W3C headers, and taking it up on the other side.

``traceparent`` makes spans nest, as between any two OpenTelemetry programs. The run's id goes in ``baggage``,
because a trace may hold several runs; nothing else of the run (user, customer, session) leaves the process.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from opentelemetry.context import Context, attach, detach, get_current, set_value
from opentelemetry.trace import Span, get_current_span

from tachograph import _recorder
from tachograph._blocks import AsyncToo
from tachograph._facts import misused
from tachograph._failure import MESSAGE_LIMIT_CHARS, safe_text
from tachograph._frame import FRAME_KEY, Frame, RunState, frame_of
from tachograph._given import Unreadable, read
from tachograph._guard import guarded
from tachograph._run import is_run_id
from tachograph._spans import Activation, SpanHandle, open_span
from tachograph_schemas import names

if TYPE_CHECKING:
    from tachograph._recorder import Recorder


class HasItems(Protocol):
    """A mapping, or what HTTP libraries have in its place."""

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Pairs of key and value."""
        ...


Headers = HasItems | Iterable[tuple[Any, Any]]
_WANTED = ("traceparent", "tracestate", "baggage")


def context_headers() -> dict[str, str]:
    """The headers that let another process go on with the current run; empty outside of one.

    ``requests.post(url, headers=tacho.context_headers())``; for a child process the same, in upper case, as
    environment: see :func:`continue_from`. Send them only to programs of yours.
    """
    run = frame_of().run
    if run is None or _recorder.active() is None:
        return {}
    carrier: dict[str, str] = {}
    with guarded("writing context headers"):
        from opentelemetry import baggage
        from opentelemetry.baggage.propagation import W3CBaggagePropagator
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        TraceContextTextMapPropagator().inject(carrier)
        alone = baggage.set_baggage(names.RUN_ID, run.id, Context())
        W3CBaggagePropagator().inject(carrier, alone)
    return carrier


class Continued(AsyncToo):
    """A run that is gone on with in this process; see :func:`continue_from`."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers
        self._token: Token[Context] | None = None
        self._recorder: Recorder | None = None
        self._state: RunState | None = None
        self._handle: SpanHandle | None = None
        self._activation: Activation | None = None

    def __enter__(self) -> Self:
        recorder = _recorder.active()
        if recorder is not None:
            with guarded("taking up a run"):
                self._take_up(recorder)
        return self

    def _take_up(self, recorder: Recorder) -> None:
        context, run_id = _read(self._headers)
        parent = get_current_span(context)
        if not parent.get_span_context().is_valid:
            return
        trace_id = format(parent.get_span_context().trace_id, "032x")
        run_id = run_id or trace_id
        here = recorder.runs.get(run_id)
        state = here or _state(run_id, trace_id, parent)
        outer = frame_of()
        frame = Frame("other", state, outer.agent, outer.budgets, outer.places)
        self._token = attach(set_value(FRAME_KEY, frame, context))
        # A span of its own, so that this process has something to hang tags and its count of spans on.
        self._handle = open_span("other", "continue run")
        if here is None:
            self._recorder, self._state = recorder, state
            state.span = self._handle._span
            recorder.run_started(state, frame)
        self._activation = self._handle.active()
        self._activation.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._activation is not None:
            self._activation.__exit__(kind, error, trace)
        with guarded("leaving a run"):
            if self._handle is not None:
                if self._recorder is not None and self._state is not None:
                    made = self._recorder.run_ending(self._state)
                    self._handle.set({names.RUN_SPANS_MADE: made})
                self._handle.end()
        if self._token is not None:
            detach(self._token)


def continue_from(headers: Headers) -> Continued:
    """Go on with the run that ``headers`` came from: ``with tacho.continue_from(request.headers): ...``.

    What is recorded in the block belongs to that run and nests under the span that wrote the headers; a
    ``@tacho.run`` in it is a sub-agent. Works with ``async with`` too. Without a ``traceparent`` the block
    changes nothing. Take headers from programs of yours only: whoever sends them chooses the run.

    Args:
        headers: Any mapping or pairs that hold what :func:`context_headers` gave, whatever the case of the
            keys: HTTP headers, ASGI's pairs of bytes, a WSGI environment, ``os.environ``.
    """
    return Continued(headers)


def _state(run_id: str, trace_id: str, span: Span) -> RunState:
    return RunState(run_id, trace_id, span, stamp={names.RUN_ID: run_id})


def _read(headers: Headers) -> tuple[Context, str]:
    """The caller's span as a context, and the run's id; empty when it was not sent."""
    from opentelemetry import baggage
    from opentelemetry.baggage.propagation import W3CBaggagePropagator
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    taken = read(_take, headers, carrier)
    if isinstance(taken, Unreadable):
        misused("continue_from", f"headers {taken.why}")
    context = TraceContextTextMapPropagator().extract(carrier, get_current())
    said = baggage.get_baggage(names.RUN_ID, W3CBaggagePropagator().extract(carrier, Context()))
    return context, said if isinstance(said, str) and is_run_id(said) else ""


def _take(headers: Headers, carrier: dict[str, str]) -> None:
    items = getattr(headers, "items", None)
    pairs: Iterable[tuple[Any, Any]] = headers if items is None else items()  # type: ignore[assignment]  # one of the two
    for key, value in pairs:
        name = _text(key).lower().removeprefix("http_")
        if name in _WANTED:
            carrier[name] = _text(value)


def _text(value: Any) -> str:
    if issubclass(type(value), bytes):
        return bytes.__getitem__(value, slice(MESSAGE_LIMIT_CHARS)).decode("latin-1")
    return safe_text(value)
