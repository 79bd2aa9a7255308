"""One recorded call: opened by :func:`begin`, entered and left, then succeeded, failed or exhausted.

Everything here is guarded. What may come out is ``RunStopped``, of which ``BudgetExceeded`` is one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Token
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import SpanKind

from tachograph import _orders, _recorder, _shared_budgets, _spending
from tachograph._binding import Binder
from tachograph._budget_state import Hold
from tachograph._capture import capture
from tachograph._estimate import Estimate, most_tokens, tokens_in
from tachograph._frame import frame_of
from tachograph._guard import contain, guarded
from tachograph._hot import HotCall, Plan, open_call
from tachograph._orders import BOUNDARIES
from tachograph._policy import PREVIEW_BYTES, Policy, capture_as, hashed, stricter
from tachograph._run import RunOptions, finish_run, open_run
from tachograph._spans import NOTHING, SpanHandle, open_span
from tachograph_schemas import names

if TYPE_CHECKING:
    from tachograph._consent import Consent
    from tachograph._recorder import Recorder

tape_hook: Callable[..., Any] | None = None
"""``tachograph.replay._seam.hook`` while runs are recorded for replay or replayed; else None."""

ESTIMATED_BYTES = 1 << 20
"""Of the arguments of a model call, to estimate how many tokens they are."""

Describe = Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]
"""From the bound arguments to the span's name and attributes."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a decorator knows about its function before any call."""

    layer: names.Layer
    binder: Binder
    describe: Describe
    capture_input: Policy = "full"
    capture_output: Policy = "full"
    run: RunOptions | None = None
    agent: str | None = None
    kind: SpanKind = SpanKind.INTERNAL
    consent: Consent | None = None
    """What has to be asked before a call; None for all but tools."""
    plan: Plan | None = None
    """For functions whose calls may take the hot path."""
    cost_usd: float = 0.0
    """What each call costs beside tokens."""


def begin_plain(spec: Spec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | HotCall:
    """:func:`begin` for what is no generator: most calls of an agent, so there is a short way for them.

    Raises:
        BudgetExceeded: a budget around the call has nothing left.
        RunStopped: a person stopped the run.
    """
    recorder = _recorder._active
    if recorder is None:
        return IDLE
    context = get_current()
    frame = frame_of(context)
    hold = _held(spec, args, kwargs) if spec.layer in BOUNDARIES else None
    # What budgets have to know of a span is known on the long way alone.
    is_free = hold is None and frame.hold is None and not _shared_budgets.in_force
    plan = spec.plan if is_free and recorder.lean else None
    if plan is not None and recorder.capture_policy == "full":
        try:
            call = open_call(plan, recorder, context, frame, args, kwargs, tape_hook, spec)
            if call is not None:
                return call
        except BaseException as fault:
            if not contain("starting to record a call", fault):
                raise
            return IDLE
    return _begin(spec, recorder, args, kwargs, hold)


def begin(spec: Spec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Start recording a call. Arguments are frozen here, before the function can change them.

    Raises:
        BudgetExceeded: a budget around the call has nothing left.
        RunStopped: a person stopped the run.
    """
    recorder = _recorder.active()
    if recorder is None:
        return IDLE
    hold = _held(spec, args, kwargs) if spec.layer in BOUNDARIES else None
    return _begin(spec, recorder, args, kwargs, hold)


def _begin(
    spec: Spec,
    recorder: Recorder,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    hold: Hold | None,
) -> Call:
    try:
        given = spec.binder.bind(args, kwargs)
        payload: dict[str, Any] = {}
        writes = False
        policy = stricter(spec.capture_input, recorder.capture_policy)
        captured = capture_as(policy, given, recorder.capture_limit_bytes)
        if captured is not None:
            text, cut_bytes = captured
            payload[names.input_name(spec.layer)] = text
            if cut_bytes:
                payload[names.TRUNCATED_BYTES] = cut_bytes
        if spec.run is not None:
            handle = open_run(recorder, spec.run, given, payload, policy)
        else:
            label, attributes = spec.describe(given)
            writes = attributes.get(names.TOOL_EFFECT) == "write"
            if policy != "full":
                # A part of the arguments under a name of its own.
                attributes.pop(names.GEN_AI_RETRIEVAL_QUERY_TEXT, None)
            attributes.update(payload)
            handle = open_span(
                spec.layer, label, attributes, agent=spec.agent, kind=spec.kind, hold=hold
            )
        if captured is not None:
            handle._truncated_bytes = captured[1]
        call = Call(spec, handle)
        if tape_hook is not None:
            kept = (policy, stricter(spec.capture_output, recorder.capture_policy))
            call.seam = tape_hook(spec, given, kept, writes)
        return call
    except BaseException as fault:
        if hold is not None:
            hold.release()
        if not contain("starting to record a call", fault):
            raise
        return IDLE


def _held(spec: Spec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hold | None:
    """What budgets hold for the call; free when nothing is in force.

    Raises:
        RunStopped: it must not be made.
    """
    if not (_orders.in_force or _spending.in_force()):
        return None
    return _spending.before_call(
        spec.layer,
        lambda: estimate(spec, args, kwargs),
        tool_of(spec, args, kwargs),
        spec.cost_usd,
    )


def tool_of(spec: Spec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The name of the tool that is called, where a shared budget may be one of tools; else empty."""
    if spec.layer != "tool" or not _shared_budgets.in_force:
        return ""
    with guarded("naming a tool"):
        return str(spec.describe(spec.binder.bind(args, kwargs))[1].get(names.GEN_AI_TOOL_NAME, ""))
    return ""


def estimate(spec: Spec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Estimate:
    """What the arguments of a decorated model call tell: their size, and a ``max_tokens`` among them."""
    given = spec.binder.bind(args, kwargs)
    attributes = spec.describe(given)[1]
    text, cut_bytes = capture(given, ESTIMATED_BYTES)
    return Estimate(
        tokens_in(len(text) + cut_bytes),
        most_tokens(given),
        str(attributes.get(names.GEN_AI_REQUEST_MODEL) or given.get("model") or ""),
        str(attributes.get(names.GEN_AI_PROVIDER_NAME) or ""),
    )


class Call:
    """A call being recorded."""

    __slots__ = (
        "_abandoned",
        "_handle",
        "_inside",
        "_items",
        "_room_bytes",
        "_skipped",
        "_spec",
        "_token",
        "seam",
    )

    def __init__(self, spec: Spec | None, handle: SpanHandle) -> None:
        self._spec = spec
        self._handle = handle
        self._token: Token[Context] | None = None
        self._inside: Context | None = None
        self._items: list[str] | None = None
        self._room_bytes = 0
        self._skipped = 0
        self._abandoned = False
        self.seam: Any = None
        """What makes the call when it is recorded for replay or replayed: :mod:`tachograph.replay._seam`."""

    def enter(self) -> None:
        """Make the span current for the code that runs next."""
        try:
            self._token = self._handle.enter()
        except Exception as fault:
            # Near the recursion limit even this may fail; the call itself must decide for itself.
            if not contain("entering a span", fault):
                raise

    def resume(self) -> None:
        """:meth:`enter`, with the context the generator's body had when it was left."""
        if self._inside is None:
            self.enter()
        else:
            self._token = attach(self._inside)

    def suspend(self) -> None:
        """Give the consumer back its context; the body's own (a span open around its yield) is kept."""
        token, self._token = self._token, None
        if token is not None:
            self._inside = get_current()
            detach(token)

    def succeed(self, result: Any) -> None:
        """The function returned ``result``."""
        token, self._token = self._token, None
        self._handle.leave(token)
        if self._spec is None:
            return
        try:
            self._handle.set_output(result, self._spec.capture_output)
        finally:
            # Also when a Ctrl-C arrived meanwhile and goes on to the agent.
            self._end(None)

    def fail(self, error: BaseException) -> None:
        """``error`` escaped; the caller re-raises it."""
        token, self._token = self._token, None
        self._handle.leave(token, closing=issubclass(type(error), GeneratorExit))
        if self._spec is None:
            return
        try:
            with guarded("recording an exception"):
                self._flush_items()
                if not issubclass(type(error), GeneratorExit):
                    self._handle.record_error(error)
        finally:
            self._end(error)

    def yielded(self, item: Any) -> None:
        """A generator yielded ``item``; kept as long as there is room."""
        if self._spec is None or self._spec.capture_output == "none":
            return
        with guarded("recording a yielded item"):
            recorder = self._handle._recorder
            if recorder is None or recorder.capture_policy == "none":
                return
            if self._items is None:
                room_bytes = recorder.capture_limit_bytes
                if "preview" in {self._spec.capture_output, recorder.capture_policy}:
                    room_bytes = min(room_bytes, PREVIEW_BYTES)
                self._items, self._room_bytes = [], room_bytes - 2
            if self._skipped or self._room_bytes < 32:
                self._skipped += 1
                return
            text, cut_bytes = capture(item, self._room_bytes)
            self._items.append(text)
            self._room_bytes -= len(text.encode("utf-8")) + 1
            self._skipped += bool(cut_bytes)

    def exhausted(self, result: Any) -> None:
        """The generator ended by itself; ``result`` is what it returned."""
        if self._spec is None:
            return
        with guarded("recording a result"):
            self._flush_items()
        self._end(None)

    def abandon(self) -> None:
        """The consumer stopped early. The span ends now: nobody may ever come back to it."""
        if self._spec is None or self._abandoned:
            return
        self._abandoned = True
        with guarded("recording an abandoned generator"):
            self._flush_items()
            self._handle.set({names.ABANDONED: True})
        self._end(GeneratorExit())

    def _flush_items(self) -> None:
        if self._items is None:
            return
        taken = sum(map(len, self._items))
        mean_bytes = taken // len(self._items) if self._items else 0
        cut_bytes = self._skipped * max(mean_bytes, 1)
        text, self._items = f"[{','.join(self._items)}]", None
        recorder, spec = self._handle._recorder, self._spec
        if recorder is None or spec is None:
            return
        if "hash" in {spec.capture_output, recorder.capture_policy}:
            text, cut_bytes = hashed(text, cut_bytes), 0
        self._handle.set_payload(self._handle.output_name, text, cut_bytes)

    def _end(self, error: BaseException | None) -> None:
        spec, handle = self._spec, self._handle
        if spec is not None and spec.run is not None and not handle._ended:
            with guarded("ending a run"):
                finish_run(handle, spec.run, error)
        handle.end()


IDLE = Call(None, NOTHING)
"""The call that records nothing."""


def through(kind: str, name: str, given: Any, function: Callable[..., Any], *args: Any) -> Any:
    """Call ``function`` as an effect of the run that this code is in, as decorated calls are."""
    seam = _effect_seam(kind, name, given)
    return function(*args) if seam is None else seam.call(function, args, {})


async def through_async(
    kind: str, name: str, given: Any, function: Callable[..., Any], *args: Any
) -> Any:
    """:func:`through` for a coroutine function."""
    seam = _effect_seam(kind, name, given)
    return await (function(*args) if seam is None else seam.acall(function, args, {}))


def _effect_seam(kind: str, name: str, given: Any) -> Any:
    if tape_hook is None:
        return None
    from tachograph.replay._seam import effect

    return effect(kind, name, given)
