"""What the SDK raises into an agent, and only because the agent asked for it.

TachographError
├── RunStopped        a stop rule fired; the run ends as ``stopped``, not as a failure
│   └── BudgetExceeded    a budget with ``action="stop"`` had nothing left
└── Refused           a gate's verdict was enforced
"""

from __future__ import annotations


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
    """A budget has nothing left, so the next model or tool call was not made."""

    def __init__(self, *, limit: float, used: float, unit: str, scope: str) -> None:
        super().__init__("budget", f"{scope} budget of {limit:g} {unit} is used up ({used:g} used)")
        self.limit = limit
        """In ``unit``."""
        self.used = used
        """In ``unit``."""
        self.unit = unit
        """``usd tokens model_calls tool_calls steps wall_s``."""
        self.scope = scope

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_budget, (self.limit, self.used, self.unit, self.scope)


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


def _rebuild_budget(limit: float, used: float, unit: str, scope: str) -> BudgetExceeded:
    return BudgetExceeded(limit=limit, used=used, unit=unit, scope=scope)


def _rebuild_refused(rule: str, reason: str, verdict: str) -> Refused:
    return Refused(rule, reason, verdict=verdict)
