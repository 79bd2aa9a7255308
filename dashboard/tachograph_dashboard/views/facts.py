"""What a harness layer decided, in a reader's words instead of attribute names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tachograph_schemas import names, words
from tachograph_schemas.account import harness
from tachograph_schemas.rows import SpanRow

_VALUE_CHARS = 600


def _as_is(text: str) -> str:
    return text


def _milliseconds(text: str) -> str:
    try:
        return words.duration(float(text) * 1e6)
    except ValueError:
        return text


def _nanoseconds(text: str) -> str:
    try:
        return words.duration(float(text))
    except ValueError:
        return text


@dataclass(frozen=True, slots=True)
class _Fact:
    label: str
    attribute: str
    read: Callable[[str], str] = _as_is


_REASON = _Fact("Reason", names.REASON)

LAYER_FACTS: Mapping[str, tuple[_Fact, ...]] = {
    "run": (
        _Fact("Goal", names.RUN_GOAL),
        _Fact("Triggered by", names.RUN_TRIGGER),
        _Fact("Entry point", names.RUN_ENTRYPOINT),
        _Fact("Outcome", names.RUN_OUTCOME),
        _Fact("Stop reason", names.RUN_STOP_REASON),
        _Fact("Code version", names.RUN_CODE_VERSION),
    ),
    "normalize": (
        _Fact("Removed", names.NORMALIZE_REMOVED),
        _Fact("Injection patterns", names.NORMALIZE_INJECTIONS),
    ),
    "context": (
        _Fact("Candidates", names.CONTEXT_CANDIDATES),
        _Fact("Selected", names.CONTEXT_SELECTED),
        _Fact("Dropped", names.CONTEXT_DROPPED),
        _Fact("Token budget", names.CONTEXT_BUDGET_TOKENS),
    ),
    "tool": (
        _Fact("Risk", names.TOOL_RISK),
        _Fact("Effect on the world", names.TOOL_EFFECT),
        _Fact("Scope", names.TOOL_SCOPE),
    ),
    "retrieval": (_Fact("Query", names.GEN_AI_RETRIEVAL_QUERY_TEXT),),
    "memory": (
        _Fact("Operation", names.MEMORY_OPERATION),
        _Fact("Tier", names.MEMORY_TIER),
        _Fact("Store", names.GEN_AI_MEMORY_STORE_ID),
    ),
    "gate": (
        _Fact("Verdict", names.GATE_VERDICT),
        _Fact("What was done", names.GATE_ACTION),
        _Fact("Rule", names.GATE_RULE),
        _Fact("Risk", names.GATE_RISK),
        _REASON,
    ),
    "validation": (
        _Fact("Verdict", names.VALIDATION_VERDICT),
        _Fact("Check", names.VALIDATION_CHECK),
        _Fact("Kind", names.VALIDATION_KIND),
        _Fact("Field", names.VALIDATION_FIELD),
        _REASON,
    ),
    "repair": (
        _Fact("Outcome", names.REPAIR_OUTCOME),
        _Fact("Attempt", names.REPAIR_ATTEMPT),
        _Fact("At most", names.REPAIR_MAX_ATTEMPTS),
        _Fact("Feedback given", names.REPAIR_FEEDBACK),
    ),
    "breaker": (
        _Fact("Breaker", names.BREAKER_NAME),
        _Fact("From", names.BREAKER_FROM),
        _Fact("To", names.BREAKER_TO),
        _REASON,
    ),
    "retry": (
        _Fact("Retry of", names.RETRY_OF),
        _Fact("Attempt that failed", names.RETRY_ATTEMPT),
        _Fact("Waited", names.RETRY_WAIT_MS, _milliseconds),
        _REASON,
    ),
    "fallback": (
        _Fact("From", names.FALLBACK_FROM),
        _Fact("To", names.FALLBACK_TO),
        _REASON,
    ),
    "approval": (
        _Fact("Decision", names.APPROVAL_DECISION),
        _Fact("By", names.APPROVAL_APPROVER),
        _Fact("Name vouched for by", names.APPROVAL_VOUCHED),
        _Fact("Waited", names.WAITING_NS, _nanoseconds),
        _Fact("Asked for", names.APPROVAL_REQUEST),
        _REASON,
    ),
    "checkpoint": (
        _Fact("Checkpoint", names.CHECKPOINT_LABEL),
        _Fact("Action", names.CHECKPOINT_ACTION),
    ),
    "budget": (
        _Fact("Action", names.BUDGET_ACTION),
        _Fact("Used", names.BUDGET_USED),
        _Fact("Limit", names.BUDGET_LIMIT),
        _Fact("Scope", names.BUDGET_SCOPE),
    ),
    "stop": (
        _Fact("Rule", names.STOP_RULE),
        _REASON,
        _Fact("Needed to take over", names.STOP_NEEDS),
    ),
    "handoff": (
        _Fact("From", names.HANDOFF_FROM),
        _Fact("To", names.HANDOFF_TO),
        _REASON,
    ),
    "eval": (
        _Fact("Evaluation", names.EVAL_NAME),
        _Fact("Result", names.EVAL_LABEL),
        _Fact("Score", names.EVAL_SCORE),
        _Fact("Explanation", names.EVAL_EXPLANATION),
    ),
}

# The closed vocabularies of names.py, as said to a reader, with their tone.
_SAID: Mapping[tuple[str, str], tuple[str, str]] = {
    (names.GATE_VERDICT, "allow"): ("Allowed", "good"),
    (names.GATE_VERDICT, "deny"): ("Denied", "bad"),
    (names.GATE_VERDICT, "escalate"): ("Sent to a person", "warn"),
    (names.GATE_ACTION, "proceeded"): ("It went ahead", ""),
    (names.GATE_ACTION, "blocked"): ("It was blocked", "bad"),
    (names.GATE_ACTION, "escalated"): ("A person was asked", "warn"),
    (names.GATE_ACTION, "dry_run"): ("Only a dry run", ""),
    (names.VALIDATION_VERDICT, "pass"): ("Passed", "good"),
    (names.VALIDATION_VERDICT, "fail"): ("Failed", "bad"),
    (names.REPAIR_OUTCOME, "repaired"): ("Repaired", "good"),
    (names.REPAIR_OUTCOME, "gave_up"): ("Gave up", "bad"),
    (names.APPROVAL_DECISION, "approved"): ("Approved", "good"),
    (names.APPROVAL_DECISION, "refused"): ("Refused", "bad"),
    (names.APPROVAL_DECISION, "timeout"): ("Nobody answered in time", "warn"),
    (names.BUDGET_ACTION, "stopped"): ("Stopped the run", "bad"),
    (names.BUDGET_ACTION, "warned"): ("Warned", "warn"),
    (names.BREAKER_TO, "open"): ("open", "bad"),
    (names.TOOL_EFFECT, "read"): ("Only reads", ""),
    (names.TOOL_EFFECT, "write"): ("Changes something", ""),
    (names.TOOL_RISK, "critical"): ("critical", "bad"),
    (names.TOOL_RISK, "high"): ("high", "warn"),
}


def facts(span: SpanRow) -> list[dict[str, Any]]:
    """The rows of facts of a span's layer; what was not recorded is left out."""
    rows = []
    for fact in LAYER_FACTS.get(span.layer, ()):
        text = span.attributes.get(fact.attribute, "")
        if not text:
            continue
        if fact.attribute in {names.BUDGET_USED, names.BUDGET_LIMIT}:
            text = harness.amount(span.attributes.get(names.BUDGET_UNIT, ""), text)
        said, tone = _SAID.get((fact.attribute, text), (fact.read(text), ""))
        value = words.excerpt(said, _VALUE_CHARS)
        rows.append({"label": fact.label, "value": value, "tone": tone})
    return rows + _money(span)


def _money(span: SpanRow) -> list[dict[str, Any]]:
    """What the step cost beside tokens, and what a cache saved."""
    said = [
        ("Cost", None if span.tool_cost_usd is None else words.usd(span.tool_cost_usd)),
        ("Time of people", None if span.human_cost_usd is None else words.usd(span.human_cost_usd)),
        ("Paid for", words.excerpt(span.attributes.get(names.COST_WHAT, ""), _VALUE_CHARS)),
        ("Saved by a cache", None if span.saved_usd is None else words.usd(span.saved_usd)),
    ]
    return [{"label": label, "value": value, "tone": ""} for label, value in said if value]


def tone(span: SpanRow) -> str:
    """The strongest tone among a span's facts; ``plain`` when they have none."""
    said = {row["tone"] for row in facts(span)}
    return next((tone for tone in ("bad", "warn", "good") if tone in said), "plain")
