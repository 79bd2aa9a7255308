"""How mature the harness around an agent is, from what its spans show and nothing else.

The levels are the field's: 0 script, 1 controlled tools, 2 observable, 3 recoverable, 4 governed, 5 production. A level is
reached when enough of its signs, and those of every level below, were seen. What was never needed was never seen: an agent
whose calls never fail shows no retry. The card says "not seen", never "not there".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tachograph_schemas import words
from tachograph_schemas.names import Layer

LEVELS = ("Script", "Controlled tools", "Observable", "Recoverable", "Governed", "Production")
_MOST, _NEARLY_ALL = 0.5, 0.95
_EVAL_SHARE, _EVAL_DAYS = 0.1, 3
_MAY_MISS = 1
"""Of the signs of a level: not every agent needs every one."""
_STRICT = 2
"""The level of which none may be missing: what cannot be seen cannot be judged."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Counts over the spans of an agent's latest runs."""

    runs: int
    tool_calls: int
    tools_with_effect: int
    tools_with_limits: int
    """Calls of tools whose scope or risk is declared."""
    tools_refused: int
    model_calls: int
    calls_ended: int
    """Model and tool calls that ended without an error."""
    calls_with_contents: int
    """Those of them with contents: of a model call both sides, of a tool one, as it may take or give nothing."""
    runs_with_goal: int
    runs_with_version: int
    validations: int
    verifications: int
    """Checks by somebody other than the agent."""
    repairs: int
    retries: int
    fallbacks: int
    breaker_events: int
    checkpoints: int
    stops: int
    handoffs: int
    gates: int
    gates_enforced: int
    """Gates whose verdict decided about a real action, not in a dry run."""
    approvals: int
    approvals_decided: int
    approvals_named: int
    """Those of them that say who decided."""
    budgets: int
    memories: int
    memories_with_tier: int
    evals: int
    runs_with_evals: int
    days_with_evals: int
    normalizations: int
    contexts: int
    retrievals: int
    recordings: int
    """Runs with a tape, so that they can be replayed."""


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign of a level."""

    key: str
    level: int
    title: str
    seen: bool
    found: str
    """What the spans show, in words."""
    code: str
    """The line that adds it."""


@dataclass(frozen=True, slots=True)
class Scorecard:
    """What level an agent's harness has reached, and by which signs."""

    level: int
    """0 to 5."""
    signs: tuple[Sign, ...]
    layers: tuple[tuple[Layer, int], ...]
    """Every layer that an agent can exercise, with how often it was seen."""
    runs: int
    """How many runs were looked at."""

    @property
    def name(self) -> str:
        """The level's name."""
        return LEVELS[self.level]

    @property
    def next(self) -> Sign | None:
        """The first sign that is missing for the next level; ``None`` at the last one."""
        missing = (sign for sign in self.signs if not sign.seen and sign.level > self.level)
        return next(missing, None)


@dataclass(frozen=True, slots=True)
class _Rule:
    key: str
    level: int
    title: str
    is_seen: Callable[[Evidence], bool]
    found: Callable[[Evidence], str]
    code: str


def _share(part: int, whole: int, noun: str) -> str:
    return f"{part:,} of {words.count(whole, noun)}"


def _without_tools(found: Evidence) -> bool:
    """Whether it only talks to models, so that there is no tool to control."""
    return found.model_calls > 0 and not found.tool_calls and not found.tools_refused


_NO_TOOLS = "it calls no tools"
_RULES = (
    _Rule(
        "tools", 1, "Tools are recorded call by call", lambda e: e.tool_calls > 0 or _without_tools(e),
        lambda e: _NO_TOOLS if _without_tools(e) else words.count(e.tool_calls, "tool call"), "@tacho.tool",
    ),
    _Rule(
        "effects", 1, "Tools say whether they change the world",
        lambda e: _without_tools(e) or (e.tool_calls > 0 and e.tools_with_effect >= _MOST * e.tool_calls),
        lambda e: _NO_TOOLS if _without_tools(e) else _share(e.tools_with_effect, e.tool_calls, "call"),
        '@tacho.tool(effect="read")   # and @tacho.effect(...) for what changes something',
    ),
    _Rule(
        "limits", 1, "Tools have a scope or a risk",
        lambda e: _without_tools(e) or e.tools_refused > 0 or (e.tool_calls > 0 and e.tools_with_limits >= _MOST * e.tool_calls),
        lambda e: _NO_TOOLS if _without_tools(e) else _share(e.tools_with_limits, e.tool_calls, "call"),
        '@tacho.tool(effect="read", risk="low", scope="orders:read")',
    ),
    _Rule(
        "validation", 1, "Answers are validated", lambda e: e.validations > 0,
        lambda e: words.count(e.validations, "check"),
        'tacho.validate("amount is positive", usd > 0, kind="range", field="usd")',
    ),
    _Rule(
        "contents", 2, "Inputs and outputs are kept",
        lambda e: e.calls_ended > 0 and e.calls_with_contents >= _NEARLY_ALL * e.calls_ended,
        lambda e: _share(e.calls_with_contents, e.calls_ended, "call"),
        'tacho.init(capture="full")',
    ),
    _Rule(
        "goal", 2, "Runs say what they are for",
        lambda e: e.runs > 0 and e.runs_with_goal >= _NEARLY_ALL * e.runs,
        lambda e: _share(e.runs_with_goal, e.runs, "run"),
        '@tacho.run(agent="...", goal=tacho.arg("task"))',
    ),
    _Rule(
        "replay", 2, "Runs can be replayed", lambda e: e.recordings > 0,
        lambda e: _share(e.recordings, e.runs, "run"),
        "TACHO_RECORD=exact   # in the agent's environment",
    ),
    _Rule(
        "retries", 3, "What fails for a moment is tried again", lambda e: e.retries + e.repairs > 0,
        lambda e: f"{words.count(e.retries, 'retry')}, {words.count(e.repairs, 'repair')}",
        'tacho.instrument("tenacity")   # or stamina; with tacho.repair("terms", max_attempts=3)',
    ),
    _Rule(
        "degradation", 3, "There is a way on when a service is down",
        lambda e: e.fallbacks + e.breaker_events > 0,
        lambda e: f"{words.count(e.fallbacks, 'fallback')}, {words.count(e.breaker_events, 'breaker event')}",
        'tacho.fallback_event("crm", "yesterday\'s export", "the CRM does not answer")',
    ),
    _Rule(
        "checkpoints", 3, "Progress survives a crash", lambda e: e.checkpoints > 0,
        lambda e: words.count(e.checkpoints, "checkpoint"),
        'tacho.checkpoint("invoice 14", done=done, todo=todo)',
    ),
    _Rule(
        "escalation", 3, "It knows when to stop or to hand over", lambda e: e.stops + e.handoffs > 0,
        lambda e: f"{words.count(e.stops, 'stop')}, {words.count(e.handoffs, 'handoff')}",
        'tacho.stop("conflicting records", reason, needs="the customer number")',
    ),
    _Rule(
        "gates", 4, "Rules decide about actions", lambda e: e.gates_enforced > 0,
        lambda e: _share(e.gates_enforced, e.gates, "gate"),
        'tacho.gate("refund limit", allow=usd <= 100, proposal={"usd": usd}).enforce()',
    ),
    _Rule(
        "approvals", 4, "People decide about the grave ones", lambda e: e.approvals_decided > 0,
        lambda e: words.count(e.approvals_decided, "decision"),
        'tacho.approve("refund 320 USD", params={"usd": 320}, approver="inbox")',
    ),
    _Rule(
        "evals", 4, "Results are evaluated", lambda e: e.evals + e.verifications > 0,
        lambda e: f"{words.count(e.evals, 'evaluation')}, {words.count(e.verifications, 'independent check')}",
        'tacho.evaluate("answers the question", score=0.9, label="pass")',
    ),
    _Rule(
        "limits_in_force", 4, "Spending and memory have limits",
        lambda e: e.budgets > 0 or (e.memories > 0 and e.memories_with_tier == e.memories),
        lambda e: f"{words.count(e.budgets, 'budget event')}, {_share(e.memories_with_tier, e.memories, 'memory access with a tier')}"
        if e.memories else words.count(e.budgets, "budget event"),
        "with tacho.budget(usd=0.50, tool_calls=40): ...",
    ),
    _Rule(
        "continuous_evals", 5, "Evaluations go on in production",
        lambda e: e.runs_with_evals >= _EVAL_SHARE * e.runs and e.days_with_evals >= _EVAL_DAYS,
        lambda e: f"{_share(e.runs_with_evals, e.runs, 'run')}, on {words.count(e.days_with_evals, 'day')}",
        'tacho.evaluate("answers the question", score=score)   # in one run of ten, every day',
    ),
    _Rule(
        "versions", 5, "Every run says which version it was",
        lambda e: e.runs > 0 and e.runs_with_version >= _NEARLY_ALL * e.runs,
        lambda e: _share(e.runs_with_version, e.runs, "run"),
        '@tacho.run(agent="...", version="2.0")',
    ),
    _Rule(
        "audit", 5, "Every decision of a person has a name",
        lambda e: e.approvals_decided > 0 and e.approvals_named == e.approvals_decided,
        lambda e: _share(e.approvals_named, e.approvals_decided, "decision"),
        'tacho.Decision(True, "maria", "known customer")   # the inbox does this by itself',
    ),
    _Rule(
        "verification", 5, "Somebody else checks the work", lambda e: e.verifications > 0,
        lambda e: words.count(e.verifications, "independent check"),
        'tacho.validate("tells every fact", ok, kind="verification", by="evaluator")',
    ),
)  # fmt: skip


def scorecard(found: Evidence) -> Scorecard:
    """The level that the evidence shows. Pure."""
    signs = tuple(
        Sign(rule.key, rule.level, rule.title, rule.is_seen(found), rule.found(found), rule.code)
        for rule in _RULES
    )
    level = 0
    while level + 1 < len(LEVELS) and _is_reached(level + 1, signs):
        level += 1
    return Scorecard(level, signs, _layers(found), found.runs)


def _is_reached(level: int, signs: tuple[Sign, ...]) -> bool:
    missing = sum(not sign.seen for sign in signs if sign.level == level)
    return missing <= (0 if level == _STRICT else _MAY_MISS)


def _layers(found: Evidence) -> tuple[tuple[Layer, int], ...]:
    return (
        ("normalize", found.normalizations),
        ("context", found.contexts),
        ("model", found.model_calls),
        ("tool", found.tool_calls),
        ("retrieval", found.retrievals),
        ("memory", found.memories),
        ("gate", found.gates),
        ("validation", found.validations),
        ("repair", found.repairs),
        ("breaker", found.breaker_events),
        ("retry", found.retries),
        ("fallback", found.fallbacks),
        ("approval", found.approvals),
        ("checkpoint", found.checkpoints),
        ("budget", found.budgets),
        ("stop", found.stops),
        ("handoff", found.handoffs),
        ("eval", found.evals),
    )
