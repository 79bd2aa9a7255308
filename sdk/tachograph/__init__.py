"""Tachograph: a flight recorder for AI agents.

::

    import tachograph as tacho

    tacho.init()

    @tacho.run(agent="billing")
    def handle(task: str) -> str: ...

    @tacho.effect(risk="high")
    def refund(order_id: str, usd: float) -> str: ...
"""

from __future__ import annotations

from tachograph._approve import approve, approve_async
from tachograph._asking import Decision
from tachograph._binding import arg
from tachograph._budget import Budget, budget
from tachograph._cached import cached
from tachograph._carry import Continued, context_headers, continue_from
from tachograph._consent import ApprovalPolicy
from tachograph._costs import cache_hit, cost
from tachograph._decorators import agent, context, normalize, run, step
from tachograph._decorators_io import effect, memory, model, retrieval, tool
from tachograph._gate import Verdict, gate
from tachograph._inputs import context_chosen, normalized
from tachograph._instrument import instrument, uninstrument
from tachograph._layers import (
    breaker_event,
    breaker_refused,
    checkpoint,
    evaluate,
    fallback_event,
    handoff,
    retry_event,
    stop,
    tool_refused,
    validate,
)
from tachograph._masked import masked
from tachograph._repair import Repair, repair
from tachograph._run import Run, current_run
from tachograph._setup import flush, init, shutdown
from tachograph._spending import degraded, on_degrade
from tachograph._threads import wrap
from tachograph.errors import BudgetExceeded, Refused, RunStopped, TachographError

__all__ = [
    "ApprovalPolicy",
    "Budget",
    "BudgetExceeded",
    "Continued",
    "Decision",
    "Refused",
    "Repair",
    "Run",
    "RunStopped",
    "TachographError",
    "Verdict",
    "agent",
    "approve",
    "approve_async",
    "arg",
    "breaker_event",
    "breaker_refused",
    "budget",
    "cache_hit",
    "cached",
    "checkpoint",
    "context",
    "context_chosen",
    "context_headers",
    "continue_from",
    "cost",
    "current_run",
    "degraded",
    "effect",
    "evaluate",
    "fallback_event",
    "flush",
    "gate",
    "handoff",
    "init",
    "instrument",
    "masked",
    "memory",
    "model",
    "normalize",
    "normalized",
    "on_degrade",
    "repair",
    "retrieval",
    "retry_event",
    "run",
    "shutdown",
    "step",
    "stop",
    "tool",
    "tool_refused",
    "uninstrument",
    "validate",
    "wrap",
]
