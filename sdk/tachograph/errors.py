"""What the SDK raises into an agent, and only because the agent asked for it.

TachographError
├── RunStopped        a stop rule fired; the run ends as ``stopped``, not as a failure
│   └── BudgetExceeded    a budget with ``action="stop"`` had nothing left
└── Refused           a gate's verdict was enforced
"""

from __future__ import annotations

from typing import Any


class TachographError(Exception):
    """The root of the tree, to catch them all."""


class RunStopped(TachographError):
    """A stop rule ended the run on purpose: recorded as ``stopped``, never as an error."""

    def __init__(self, rule: str, reason: str = "", *, needs: str = "") -> None:
        super().__init__(f"stopped by {rule}: {reason}" if reason else f"stopped by {rule}")
        self.rule = rule
        self.reason = reason
        self.needs = needs
        """What a person needs in order to take over."""

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_stopped, (type(self), self.rule, self.reason, self.needs)


class BudgetExceeded(RunStopped):
    """A budget has nothing left, or not enough, so the next model or tool call was not made."""

    def __init__(
        self,
        *,
        limit: float,
        used: float,
        unit: str,
        scope: str,
        budget: str = "",
        held: float = 0,
        needed: float = 0,
        why: str = "",
    ) -> None:
        called = f"{scope} budget {budget!r}" if budget else f"{scope} budget"
        amount = f"{called} of {limit:g} {unit}"
        under_way = f", {held:g} held for calls under way" if held else ""
        if used >= limit:
            said = f"{amount} is used up ({used:g} used)"
        else:
            call = f", and the next call may take {needed:g}" if needed else ""
            said = f"{amount} has no room for another call ({used:g} used{under_way}{call})"
        super().__init__("budget", f"{said}: {why}" if why else said)
        self.limit = limit
        """In ``unit``."""
        self.used = used
        """In ``unit``; of a shared budget by everyone, shares that others hold included."""
        self.unit = unit
        """``usd tokens model_calls tool_calls steps wall_s working_s``."""
        self.scope = scope
        self.budget = budget
        """Its name at the collector; empty for a budget set in code."""
        self.held = held
        """For calls of this process that were under way, in ``unit``."""
        self.needed = needed
        """What the call might have used at most, in ``unit``; 0 when that is not known."""
        self.why = why
        """What else is to be said, as that the collector does not answer."""

    def __reduce__(self) -> tuple[object, ...]:
        fields = ("limit", "used", "unit", "scope", "budget", "held", "needed", "why")
        return _rebuild_budget, ({name: getattr(self, name) for name in fields},)


class Refused(TachographError):
    """A gate said no and :meth:`Verdict.enforce` was called on its verdict."""

    def __init__(self, rule: str, reason: str = "", *, verdict: str = "deny") -> None:
        super().__init__(f"refused by {rule}: {reason}" if reason else f"refused by {rule}")
        self.rule = rule
        self.reason = reason
        self.verdict = verdict
        """``deny`` or ``escalate``."""

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_refused, (self.rule, self.reason, self.verdict)


# Exceptions cross process pools; keyword-only constructors need a function to be rebuilt by.
def _rebuild_stopped(cls: type[RunStopped], rule: str, reason: str, needs: str) -> RunStopped:
    return cls(rule, reason, needs=needs)


def _rebuild_budget(fields: dict[str, Any]) -> BudgetExceeded:
    return BudgetExceeded(**fields)


def _rebuild_refused(rule: str, reason: str, verdict: str) -> Refused:
    return Refused(rule, reason, verdict=verdict)
