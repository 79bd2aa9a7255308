"""Tools that run only once a person has allowed the call: which ones, under which terms, and the asking itself.

What needs approval is said at the tool (``approval=True``), in ``tacho.init(approvals=[...])`` and in ``tacho.toml``.
Everything that fits a call holds for it, and where two differ the stricter one: a policy can only add to what others
ask for. Rules that cannot be read ask about every tool, because the alternative is to ask about none.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any, Protocol, get_args

from tachograph._approve import MOST_APPROVERS, asked, decide, decide_async
from tachograph._asking import Approver, AsyncApprover, Decision, Inbox, Request
from tachograph._binding import Binder
from tachograph._capture import capture
from tachograph._control import SHOWN_LIMIT_BYTES
from tachograph._edits import MisfitError, fitted
from tachograph._facts import misused
from tachograph._given import Unreadable, is_a, text
from tachograph._given import read as read_given
from tachograph._guard import LOGGER
from tachograph._layers import Risk, validate
from tachograph._lookalike import is_disguised, read_as
from tachograph._policy import Policy
from tachograph.errors import Refused

_RISKS: tuple[str, ...] = get_args(Risk)
_MOST_POLICIES = 10_000
_MOST_TIMEOUT_S = 30 * 86_400
RULE = "approval"
"""The rule that ``Refused`` names."""


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """Which calls a person has to allow, and how.

    Raises:
        ValueError: a value makes no sense; the message names it.
    """

    tools: str | tuple[str, ...] | list[str] = "*"
    """The tools it is about: one glob over their names, or several."""
    risk: Risk | None = None
    """Only tools that declare at least this risk: ``low medium high critical``."""
    approvers_needed: int = 1
    """How many different people have to approve; one refusal is enough."""
    requester_may_approve: bool = False
    """Whether the person that the run works for may be among them."""
    timeout_s: float | None = None
    """Seconds until nobody's answer is a refusal; default ``TACHO_APPROVAL_TIMEOUT_S``."""
    stop_after_s: float | None = None
    """Seconds after which the run stops instead of waiting on; the request waits, and a resumed run gets its answer."""
    approver: Approver | AsyncApprover | Inbox | None = None
    """``"inbox"`` (the default: people, through the collector), or a function. In code only."""

    def __post_init__(self) -> None:
        globs = [self.tools] if isinstance(self.tools, str) else self.tools
        if not isinstance(globs, list | tuple) or not globs or not _are_texts(globs):
            raise ValueError(f"tools={self.tools!r}: expected a glob, or a list of globs")
        if self.risk is not None and self.risk not in _RISKS:
            raise ValueError(f"risk={self.risk!r}: expected one of {', '.join(_RISKS)}")
        if type(self.approvers_needed) is not int or not (
            1 <= self.approvers_needed <= MOST_APPROVERS
        ):
            raise ValueError(f"approvers_needed={self.approvers_needed!r}: expected 1 to 20")
        if type(self.requester_may_approve) is not bool:
            raise ValueError(f"requester_may_approve={self.requester_may_approve!r}: true or false")
        for name in ("timeout_s", "stop_after_s"):
            time_s = getattr(self, name)
            if time_s is not None and (
                type(time_s) not in {int, float} or not 0 < time_s <= _MOST_TIMEOUT_S
            ):
                raise ValueError(f"{name}={time_s!r}: expected seconds, 30 days at most")
        if self.approver not in {None, "inbox"} and not callable(self.approver):
            raise ValueError(f"approver={self.approver!r}: expected 'inbox' or a function")
        if callable(self.approver) and self.approvers_needed > 1:
            raise ValueError("a function is one approver; several people are asked in the inbox")

    def covers(self, tool: str, risk: str | None) -> bool:
        """Whether it is about calls of ``tool``, or of one that looks like it. A tool without a declared risk has none."""
        globs = [self.tools] if isinstance(self.tools, str) else self.tools
        if not is_disguised(tool) and not any(
            fnmatchcase(tool, glob) or fnmatchcase(read_as(tool), read_as(glob)) for glob in globs
        ):
            return False
        if self.risk is None:
            return True
        return risk in _RISKS and _RISKS.index(risk) >= _RISKS.index(self.risk)

    @property
    def sentence(self) -> str:
        """What it asks for, in a few words."""
        globs = self.tools if isinstance(self.tools, str) else ", ".join(self.tools)
        return f"{globs}" + (f" of risk {self.risk} or more" if self.risk else "")


def _are_texts(given: Iterable[object]) -> bool:
    return all(isinstance(each, str) and each for each in given)


in_force: tuple[ApprovalPolicy, ...] = ()
"""What holds in this process; looked at before every call of a tool."""
EVERY_TOOL = (ApprovalPolicy(),)
"""What holds where policies cannot be read."""


def use(policies: Iterable[ApprovalPolicy]) -> None:
    """Ask under these policies from now on."""
    global in_force
    in_force = tuple(policies)


def read(given: Any) -> tuple[ApprovalPolicy, ...]:
    """Policies from code or from settings (JSON, or what a TOML file holds). Never raises.

    What cannot be read is logged, and every tool is asked about.
    """
    found = read_given(_policies, given)
    if not isinstance(found, Unreadable):
        return found
    LOGGER.error(
        "tachograph: the approval policies cannot be read (%s): every tool call needs approval",
        found.message,
    )
    return EVERY_TOOL


def _policies(given: Any) -> tuple[ApprovalPolicy, ...]:
    rows = json.loads(given) if type(given) is str else given
    return tuple(_policy(each) for each in islice(rows, _MOST_POLICIES))


def _policy(row: Any) -> ApprovalPolicy:
    if type(row) is ApprovalPolicy:
        return row
    if not is_a(row, Mapping):
        raise TypeError(f"{text(row)} is no policy")
    known = {each.name for each in fields(ApprovalPolicy)} - {"approver"}
    unknown = sorted(map(str, row.keys() - known))
    if unknown:
        raise ValueError(f"{unknown[0]} is not one of {', '.join(sorted(known))}")
    return ApprovalPolicy(**row)


class Binding(Protocol):
    """Gives arguments their names."""

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any], /) -> dict[str, Any]:
        """The arguments of a call by name."""


class Consent:
    """What one tool needs before each call of it."""

    __slots__ = ("_binder", "_function", "_name", "_policy", "_risk", "own")

    def __init__(
        self,
        function: Callable[..., Any],
        binder: Binding,
        name: str,
        risk: str | None,
        own: ApprovalPolicy | None,
        capture_input: Policy,
    ) -> None:
        self._function = function
        self._binder = binder
        self._name = name
        self._risk = risk
        self.own = own
        self._policy = capture_input

    def terms(self) -> list[ApprovalPolicy]:
        """Every policy that holds for a call made now; none: nobody needs to be asked."""
        if not in_force and self.own is None:
            return []
        own = [] if self.own is None else [self.own]
        return own + [each for each in in_force if each.covers(self._name, self._risk)]

    def ask(
        self, terms: list[ApprovalPolicy], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Ask whether the call may be made; the arguments to make it with. Blocks.

        Raises:
            Refused: it may not, or nobody said so in time.
        """
        given = self._binder.bind(args, kwargs)
        before = capture(given, SHOWN_LIMIT_BYTES)
        decision = decide(self._question(terms, given), _approver(terms))
        self._unchanged(before, given)
        return self._settled(decision, given, args, kwargs)

    async def ask_async(
        self, terms: list[ApprovalPolicy], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """:meth:`ask` for async code."""
        given = self._binder.bind(args, kwargs)
        before = capture(given, SHOWN_LIMIT_BYTES)
        decision = await decide_async(self._question(terms, given), _approver(terms))
        self._unchanged(before, given)
        return self._settled(decision, given, args, kwargs)

    def _unchanged(self, before: tuple[str, int], given: dict[str, Any]) -> None:
        """What was decided on is what the tool gets: somebody else may hold the same list, and has had time."""
        if capture(given, SHOWN_LIMIT_BYTES) != before:
            message = "the arguments changed while somebody decided on them"
            validate("approved arguments", ok=False, message=message)
            raise Refused(RULE, message)

    def _question(self, terms: list[ApprovalPolicy], given: dict[str, Any]) -> Request:
        why = [each.sentence for each in terms if each is not self.own]
        return asked(
            f"call {self._name}",
            given,
            None,
            f"policy: {'; '.join(why)}" if why else "",
            self._risk,
            max(each.approvers_needed for each in terms),
            _shortest(each.timeout_s for each in terms),
            _shortest(each.stop_after_s for each in terms),
            requester_may_approve=all(each.requester_may_approve for each in terms),
            withheld=self._policy != "full",
        )

    def _settled(
        self,
        decision: Decision,
        given: dict[str, Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if not decision:
            raise Refused(RULE, decision.reason or "somebody said no")
        if decision.params is given or decision.params is None:
            return args, kwargs
        try:
            changed = fitted(self._function, given, decision.params)
            return self._with(changed, args, kwargs)
        except MisfitError as problem:
            message = f"the approver's arguments do not fit {self._name}: {problem}"
            validate("approved arguments", ok=False, message=message, by=decision.approver)
            raise Refused(RULE, message) from None

    def _with(
        self, changed: Mapping[str, tuple[Any, Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if not changed:
            return args, kwargs
        try:
            bound = inspect.signature(self._function).bind(*args, **kwargs)
        except (TypeError, ValueError) as error:
            raise MisfitError("its signature is not known, so nothing can be changed") from error
        bound.apply_defaults()
        for name, (_, value) in changed.items():
            bound.arguments[name] = value
        return bound.args, bound.kwargs


def _shortest(times_s: Iterable[float | None]) -> float | None:
    return min((each for each in times_s if each is not None), default=None)


def _approver(terms: list[ApprovalPolicy]) -> Any:
    """People, unless nothing but a function was named."""
    named = [each.approver for each in terms if each.approver is not None]
    return named[0] if named and "inbox" not in named else "inbox"


def consenting(
    approval: object, risk: str | None, capture_input: Policy
) -> Callable[[Callable[..., Any], Binder, str], Consent]:
    """What makes the consent of a tool, once its function is known. An ``approval`` that makes no sense asks."""
    own = approval if type(approval) is ApprovalPolicy else ApprovalPolicy()
    if type(approval) is not bool and own is not approval:
        misused("tool", f"approval is {text(approval)}; it should be a bool or an ApprovalPolicy")

    def make(function: Callable[..., Any], binder: Binder, name: str) -> Consent:
        return Consent(
            function, binder, name, risk, None if approval is False else own, capture_input
        )

    return make
