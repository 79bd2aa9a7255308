"""Tools that a framework runs by itself: orders, budgets and people have their say before each call of one.

Hooks ask here, at the seam where the library is about to run the tool. A tool of ours under the framework's is left to
its own wrapper; of two hooks that see the same call (an agent's tool that is a server's) the outer one asks, and the inner
one what only its name for the tool calls for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, NamedTuple

from tachograph import _consent, _orders, _recorder, _spending
from tachograph._consent import ApprovalPolicy, Consent
from tachograph._failure import safe_text
from tachograph._given import NAME_LIMIT_CHARS
from tachograph._wrap import OWN_TOOL

_WAYS = ("__wrapped__", "func", "__func__", "coroutine")
_DEEPEST = 8
_JOINTS = ("_", "-", ".", "/", ":")
"""Between a server's name and its tool's; ``undelete`` is no ``delete`` of a server ``un``."""
_under_way: ContextVar[tuple[str, Any] | None] = ContextVar("tachograph_cleared", default=None)


class _Given:
    """The binder of a tool whose arguments come by name already."""

    def bind(self, _args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        return dict(kwargs)


class _ForeignConsent(Consent):
    """What a call of somebody else's tool needs: nothing is known of it but its name."""

    __slots__ = ()

    def __init__(self, tool: str) -> None:
        super().__init__(_unknown, _Given(), tool, None, None, "full")

    def _with(
        self, changed: Mapping[str, tuple[Any, Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, kwargs | {name: value for name, (_, value) in changed.items()}


def _unknown() -> None:
    """Stands for a function whose parameters have no types that are known."""


def cleared(tool: object, given: Mapping[str, Any]) -> dict[str, Any]:
    """Ask whether a tool may be called; the arguments to call it with, as a person left them. Blocks.

    Raises:
        Refused: a person did not allow it.
        BudgetExceeded: a budget has nothing left for it.
        RunStopped: a person stopped the run.
    """
    name, arguments, is_first, consent, terms = _seen(tool, given)
    if terms:
        _, arguments = consent.ask(terms, (), arguments)
    if is_first:
        _spending.before_call("tool", tool=name)
    return arguments


async def cleared_async(tool: object, given: Mapping[str, Any]) -> dict[str, Any]:
    """:func:`cleared` for async code.

    Raises:
        Refused: a person did not allow it.
        BudgetExceeded: a budget has nothing left for it.
        RunStopped: a person stopped the run.
    """
    name, arguments, is_first, consent, terms = _seen(tool, given)
    if terms:
        _, arguments = await consent.ask_async(terms, (), arguments)
    if is_first:
        if _orders.in_force:
            await _orders.obey_async("tool")
        if _spending.asks():
            await _spending.ask_first("tool", name)
        _spending.before_call("tool", tool=name)
    return arguments


class _Seen(NamedTuple):
    """A call that a hook asks about."""

    name: str
    arguments: dict[str, Any]
    is_first: bool
    """Whether orders and budgets have yet to be asked: they are once, by the outermost hook."""
    consent: _ForeignConsent
    terms: list[ApprovalPolicy]
    """The policies that a person has yet to be asked under."""


def _seen(tool: object, given: Mapping[str, Any]) -> _Seen:
    name, arguments = safe_text(tool, NAME_LIMIT_CHARS), dict(given)
    outer, consent = _same_call(name, arguments), _ForeignConsent(name)
    is_first = outer is None and _recorder._active is not None
    return _Seen(name, arguments, is_first, consent, _unasked(consent, outer))


@contextmanager
def under_way(tool: object, given: Mapping[str, Any]) -> Iterator[None]:
    """While the tool runs: a hook further in that sees the same call has less to ask."""
    token = _under_way.set((safe_text(tool, NAME_LIMIT_CHARS), dict(given)))
    try:
        yield
    finally:
        _under_way.reset(token)


def _same_call(name: str, arguments: dict[str, Any]) -> str | None:
    """The name by which a hook further out has asked about this very call."""
    seen = _under_way.get()
    # Frameworks put the name of a server in front of the tool's.
    if seen is None or not (seen[0] == name or _is_prefixed(seen[0], name)):
        return None
    with suppress(Exception):  # arguments may be arrays, which are not simply equal
        return seen[0] if seen[1] == arguments else None
    return None


def _is_prefixed(longer: str, name: str) -> bool:
    return bool(name) and longer.endswith(tuple(joint + name for joint in _JOINTS))


def _unasked(consent: _ForeignConsent, outer: str | None) -> list[ApprovalPolicy]:
    """The policies that hold for a call; of one that was asked about under another name those that did not hold then."""
    terms = consent.terms()
    return terms if outer is None else [each for each in terms if not each.covers(outer, None)]


def is_own(function: Callable[..., Any] | None) -> bool:
    """Whether a function is under ``@tacho.tool`` or ``@tacho.effect``, which ask themselves."""
    for _ in range(_DEEPEST):
        if function is None:
            return False
        if getattr(function, OWN_TOOL, False) is True:
            return True
        inner = (getattr(function, way, None) for way in _WAYS)
        function = next((each for each in inner if callable(each)), None)
    return False


def in_force() -> bool:
    """Whether anybody may have a word at all; what a hook may look at before it does anything else."""
    return bool(_consent.in_force) or _recorder._active is not None
