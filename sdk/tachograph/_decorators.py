"""Decorators of runs, agents and steps. Each takes a function, or options and then a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

from opentelemetry.trace import SpanKind

from tachograph._binding import Binder, Option
from tachograph._blocks import AsyncToo
from tachograph._call import Spec
from tachograph._consent import Consent
from tachograph._facts import misused
from tachograph._given import listed, text
from tachograph._hot import Plan
from tachograph._policy import Capture, Policy, policy_of
from tachograph._renamed import note as note_aliases
from tachograph._run import RunOptions
from tachograph._spans import Activation, SpanHandle, open_span
from tachograph._wrap import decorate
from tachograph_schemas import names

F = TypeVar("F", bound="Callable[..., Any] | classmethod[Any, Any, Any]")
Decorator = Callable[[F], F]
Aliases = Iterable[str] | str | None
"""How a function was called before."""


def _label(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", None) or type(function).__name__


def capture_policy(given: Capture) -> Policy:
    """The policy that an option names; one that cannot be understood records nothing."""
    try:
        return policy_of(given)
    except ValueError as problem:
        misused("capture", str(problem))
        return "none"


def _apply(
    function: F | None, make_spec: Callable[[Callable[..., Any], bool], Spec]
) -> F | Decorator[F]:
    def apply(target: F) -> F:
        return decorate(target, make_spec)

    return apply if function is None else apply(function)


def simple(
    layer: names.Layer,
    function: F | None,
    captured: tuple[Capture, Capture],
    describe: Callable[[str, Mapping[str, Any]], tuple[str, dict[str, Any]]],
    *,
    name: str | None,
    agent: bool = False,
    kind: SpanKind = SpanKind.INTERNAL,
    varies: bool = False,
    consent: Callable[[Callable[..., Any], Binder, str], Consent] | None = None,
    cost_usd: float = 0.0,
    aliases: Aliases = None,
) -> Any:
    """The decorator of a layer. ``varies``: what ``describe`` says depends on the arguments of a call."""
    policies = capture_policy(captured[0]), capture_policy(captured[1])
    former = listed(aliases)
    plannable = not varies and {*policies} <= {"full", "none"}

    def make_spec(target: Callable[..., Any], bound_first: bool) -> Spec:
        note_aliases(target, former)
        label = text(name) or _label(target)
        binder, acting_as = Binder(target, bound_first=bound_first), label if agent else None
        plan = None
        if plannable:
            plan = Plan(layer, describe(label, {}), binder, policies, acting_as, kind)
        return Spec(
            layer=layer,
            binder=binder,
            consent=consent(target, binder, label) if consent is not None else None,
            describe=lambda given: describe(label, given),
            capture_input=policies[0],
            capture_output=policies[1],
            agent=acting_as,
            kind=kind,
            plan=plan,
            cost_usd=cost_usd,
        )

    return _apply(function, make_spec)


@overload
def run(function: F, /) -> F: ...
@overload
def run(
    *,
    name: str | None = None,
    agent: str | None = None,
    goal: Option = None,
    session: Option = None,
    user: Option = None,
    customer: Option = None,
    tags: Iterable[str] | str | None = None,
    version: str | None = None,
    trigger: Option = None,
    resume: Option = None,
    stop_on_loop: int | None = None,
    threads: Literal["exact", "free"] | None = None,
    aliases: Aliases = None,
    capture_input: Capture = True,
    capture_output: Capture = True,
) -> Callable[[F], F]: ...
def run(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    agent: str | None = None,
    goal: Option = None,
    session: Option = None,
    user: Option = None,
    customer: Option = None,
    tags: Iterable[str] | str | None = None,
    version: str | None = None,
    trigger: Option = None,
    resume: Option = None,
    stop_on_loop: int | None = None,
    threads: Literal["exact", "free"] | None = None,
    aliases: Aliases = None,
    capture_input: Capture = True,
    capture_output: Capture = True,
) -> Any:
    """Record each call as a run; called inside a run, as a sub-agent of it.

    Args:
        function: The function, when used without parentheses.
        name: The span's name, when ``invoke_agent AGENT`` will not do.
        agent: The agent's name; default: the function's.
        goal: What the run is to achieve; default: the first argument when it is a text.
        session: The conversation it belongs to.
        user: On whose behalf.
        customer: Which customer it is about.
        tags: Words to find it by.
        version: The agent's version, as you count them.
        trigger: What started it; default ``cli`` in a script, else ``call``.
        resume: The id of the run to take up again after a pause or a crash; none: a new run.
        stop_on_loop: After how many same results in a row a decorated tool is not called again with the same
            arguments: the run is stopped. Default: never. A sub-agent obeys the outermost run.
        threads: ``exact``: its threads take turns, so that races replay; ``free``. Default: ``TACHO_RECORD_THREADS``.
        aliases: How the function was called before, so that recordings made under that name still replay.
        capture_input: Record the arguments: True, False, or ``full preview hash none``.
        capture_output: Record the result, likewise.

    ``goal session user customer trigger resume`` may be texts, ``tacho.arg("parameter")``, or functions of the
    bound arguments: ``goal=lambda given: f"refund {given['order_id']}"``.
    """
    options = RunOptions(
        name=text(name), agent=text(agent), goal=goal, session=session, user=user,
        customer=customer, tags=tuple(listed(tags)), version=text(version), trigger=trigger,
        resume=resume, stop_on_loop=stop_on_loop, threads=text(threads),
    )  # fmt: skip
    return _apply(function, _run_spec(options, (capture_input, capture_output), aliases))


def _run_spec(
    options: RunOptions, captured: tuple[Capture, Capture], aliases: Aliases
) -> Callable[[Callable[..., Any], bool], Spec]:
    policies = capture_policy(captured[0]), capture_policy(captured[1])
    former = listed(aliases)

    def make_spec(target: Callable[..., Any], bound_first: bool) -> Spec:
        note_aliases(target, former)
        code = getattr(inspect.unwrap(target), "__code__", None)
        qualified = getattr(target, "__qualname__", _label(target))
        return Spec(
            layer="run",
            binder=Binder(target, bound_first=bound_first),
            describe=lambda _: (_label(target), {}),
            capture_input=policies[0],
            capture_output=policies[1],
            run=replace(
                options,
                entrypoint=f"{target.__module__}:{qualified}",
                source_file=code.co_filename if code is not None else "",
                function=_label(target),
            ),
        )

    return make_spec


@overload
def agent(function: F, /) -> F: ...
@overload
def agent(
    *,
    name: str | None = None,
    version: str | None = None,
    aliases: Aliases = None,
    capture_input: Capture = True,
    capture_output: Capture = True,
) -> Callable[[F], F]: ...
def agent(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    version: str | None = None,
    aliases: Aliases = None,
    capture_input: Capture = True,
    capture_output: Capture = True,
) -> Any:
    """Record each call as a sub-agent; spans inside carry its name. ``aliases``: see :func:`run`."""
    named_version = text(version)

    def describe(label: str, _: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        return f"invoke_agent {label}", {
            names.GEN_AI_OPERATION_NAME: "invoke_agent",
            names.GEN_AI_AGENT_NAME: label,
            names.GEN_AI_AGENT_VERSION: named_version,
        }

    captured = (capture_input, capture_output)
    return simple("agent", function, captured, describe, name=name, agent=True, aliases=aliases)


class Block(AsyncToo):
    """A layer as a decorator, or as a block: ``with tacho.normalize(name="mail"): ...``."""

    def __init__(
        self,
        layer: names.Layer,
        name: str | None,
        captured: tuple[Capture, Capture],
        aliases: Aliases,
    ) -> None:
        self._layer = layer
        self._aliases = aliases
        self._name = name
        self._captured = captured
        self._entered: list[tuple[SpanHandle, Activation]] = []

    def __call__(self, function: F, /) -> F:
        """Record each call of ``function`` as a span of this layer."""
        decorated: F = simple(
            self._layer,
            function,
            self._captured,
            lambda label, _: (label, {}),
            name=self._name,
            aliases=self._aliases,
        )
        return decorated

    def output(self, value: Any) -> None:
        """Record what came of the block that was entered last; frozen as JSON."""
        if self._entered:
            self._entered[-1][0].set_output(value, capture_policy(self._captured[1]))

    def __enter__(self) -> Self:
        handle = open_span(self._layer, text(self._name) or self._layer)
        activation = handle.active()
        activation.__enter__()
        self._entered.append((handle, activation))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        handle, activation = self._entered.pop()
        activation.__exit__(kind, error, trace)
        if error is not None:
            handle.record_error(error)
        handle.end()


class Named:
    """A layer that has no options of its own: ``step``, ``normalize``, ``context``."""

    def __init__(self, layer: names.Layer) -> None:
        self.layer = layer
        self.__name__ = layer

    @overload
    def __call__(self, function: F, /) -> F: ...
    @overload
    def __call__(
        self,
        /,
        *,
        name: str | None = None,
        aliases: Aliases = None,
        capture_input: Capture = True,
        capture_output: Capture = True,
    ) -> Block: ...
    def __call__(
        self,
        function: Any = None,
        /,
        *,
        name: str | None = None,
        aliases: Aliases = None,
        capture_input: Capture = True,
        capture_output: Capture = True,
    ) -> Any:
        """Record each call, or a block, as a span of this layer. ``aliases``: see :func:`run`."""
        block = Block(self.layer, name, (capture_input, capture_output), aliases)
        return block if function is None else block(function)


step = Named("step")
"""A unit of the agent's own work: planning, parsing, one turn of its loop."""
normalize = Named("normalize")
"""Cleaning of input before the model sees it; see ``normalized``."""
context = Named("context")
"""Choosing what the model will see; see ``context_chosen``."""
