"""Facts of the harness as plain calls: each makes one span of its layer and returns what was decided."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from tachograph._failure import safe_text
from tachograph._frame import frame_of
from tachograph._spans import open_span
from tachograph.errors import Refused, RunStopped
from tachograph_schemas import names

VerdictWord = Literal["allow", "deny", "escalate"]
Risk = Literal["low", "medium", "high", "critical"]


NAME_LIMIT_CHARS = 512
"""Of names in span names."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate said. True in a condition when the action may go on."""

    rule: str
    verdict: VerdictWord
    allowed: bool
    """Whether to proceed. A dry run never proceeds."""
    reason: str = ""
    dry_run: bool = False

    def __bool__(self) -> bool:
        return self.allowed

    def enforce(self) -> Verdict:
        """Return self when allowed.

        Raises:
            Refused: the verdict was deny or escalate, or it was a dry run.
        """
        if not self.allowed:
            raise Refused(self.rule, self.reason, verdict=self.verdict)
        return self


def gate(
    rule: str,
    *,
    allow: bool | None = None,
    verdict: VerdictWord | None = None,
    proposal: Any = None,
    reason: str = "",
    risk: Risk | None = None,
    dry_run: bool = False,
) -> Verdict:
    """Record what a rule said about a proposed action.

    Args:
        rule: The rule's name.
        allow: The answer as yes or no.
        verdict: The answer as ``allow``, ``deny`` or ``escalate`` (a person must decide).
        proposal: What was proposed; frozen as JSON.
        reason: Why, in a sentence.
        risk: ``low medium high critical``.
        dry_run: Recorded as it would be, but the action is not taken.

    Raises:
        ValueError: neither or both of ``allow`` and ``verdict`` were given.
    """
    if (allow is None) == (verdict is None):
        raise ValueError(
            "a gate needs either allow=True|False or verdict='allow'|'deny'|'escalate'"
        )
    said: VerdictWord = verdict if verdict is not None else ("allow" if allow else "deny")
    if said not in {"allow", "deny", "escalate"}:
        raise ValueError(f"verdict {said!r} is none of allow, deny, escalate")
    taken = {"allow": "proceeded", "deny": "blocked", "escalate": "escalated"}[said]
    handle = open_span(
        "gate",
        f"gate {safe_text(rule, NAME_LIMIT_CHARS)}",
        {
            names.GATE_RULE: rule,
            names.GATE_VERDICT: said,
            names.GATE_ACTION: "dry_run" if dry_run else taken,
            names.GATE_RISK: risk,
            names.REASON: reason or None,
        },
    )
    if proposal is not None:
        handle.set_input(proposal)
    handle.end()
    return Verdict(rule, said, said == "allow" and not dry_run, reason, dry_run)


def validate(
    check: str,
    ok: bool,
    *,
    kind: Literal["schema", "semantic", "range", "consistency", "verification"] = "schema",
    field: str | None = None,
    message: str = "",
) -> bool:
    """Record the result of a check and return it: ``if not tacho.validate("total", total > 0): ...``.

    Args:
        check: The check's name.
        ok: Whether it passed.
        kind: ``verification`` is a verdict by somebody independent of the agent.
        field: Which field of the answer was checked.
        message: What was wrong, in a sentence.
    """
    open_span(
        "validation",
        f"validate {safe_text(check, NAME_LIMIT_CHARS)}",
        {
            names.VALIDATION_CHECK: check,
            names.VALIDATION_KIND: kind,
            names.VALIDATION_VERDICT: "pass" if ok else "fail",
            names.VALIDATION_FIELD: field,
            names.REASON: message or None,
        },
    ).end()
    return bool(ok)


def checkpoint(
    label: str,
    *,
    done: Iterable[Any] = (),
    todo: Iterable[Any] = (),
    action: Literal["saved", "restored"] = "saved",
) -> None:
    """Record that the agent's progress was saved or restored: what is done and what is left.

    Lists, tuples, sets and the like; iterators are noted by their type and left to the agent.
    """
    handle = open_span(
        "checkpoint",
        f"checkpoint {safe_text(label, NAME_LIMIT_CHARS)}",
        {names.CHECKPOINT_LABEL: label, names.CHECKPOINT_ACTION: action},
    )
    # As they are: an iterator is the agent's to consume, and may never end.
    handle.set_input({"done": done, "todo": todo})
    handle.end()


def stop(rule: str, reason: str, *, needs: str = "") -> NoReturn:
    """Stop the run on purpose: missing data, conflicting records, too much risk.

    Args:
        rule: The stop rule's name.
        reason: Why, in a sentence.
        needs: What a person needs in order to take over.

    Raises:
        RunStopped: always. Let it escape the run, which is then recorded as stopped, not failed.
    """
    open_span(
        "stop",
        f"stop {safe_text(rule, NAME_LIMIT_CHARS)}",
        {names.STOP_RULE: rule, names.REASON: reason, names.STOP_NEEDS: needs or None},
    ).end()
    raise RunStopped(rule, reason, needs=needs)


def handoff(to: str, *, reason: str = "", payload: Any = None) -> None:
    """Record that work was handed to ``to``: another agent, a team, a person."""
    handle = open_span(
        "handoff",
        f"handoff {safe_text(to, NAME_LIMIT_CHARS)}",
        {
            names.HANDOFF_FROM: frame_of().agent,
            names.HANDOFF_TO: to,
            names.REASON: reason or None,
        },
    )
    if payload is not None:
        handle.set_input(payload)
    handle.end()


def breaker_event(name: str, from_state: str, to_state: str, reason: str = "") -> None:
    """Record that the circuit breaker ``name`` changed its state: ``closed``, ``open``, ``half_open``."""
    open_span(
        "breaker",
        f"breaker {safe_text(name, NAME_LIMIT_CHARS)}",
        {
            names.BREAKER_NAME: name,
            names.BREAKER_FROM: from_state,
            names.BREAKER_TO: to_state,
            names.REASON: reason or None,
        },
    ).end()


def retry_event(
    of: str, attempt: int, error: BaseException | None = None, wait_s: float | None = None
) -> None:
    """Record that a call failed and will be tried again.

    Args:
        of: What is retried: a tool's or a model's name.
        attempt: The attempt that failed, counted from 1.
        error: Why it failed.
        wait_s: Seconds until the next attempt.
    """
    handle = open_span(
        "retry",
        f"retry {safe_text(of, NAME_LIMIT_CHARS)}",
        {
            names.RETRY_OF: of,
            names.RETRY_ATTEMPT: attempt,
            names.RETRY_WAIT_MS: None if wait_s is None else wait_s * 1_000,
        },
    )
    if error is not None:
        handle.record_cause(error)
    handle.end()


def fallback_event(from_: str, to: str, reason: str = "") -> None:
    """Record that ``to`` (a model, a source, a cached answer) stood in for ``from_``."""
    open_span(
        "fallback",
        f"fallback {safe_text(to, NAME_LIMIT_CHARS)}",
        {names.FALLBACK_FROM: from_, names.FALLBACK_TO: to, names.REASON: reason or None},
    ).end()


def evaluate(
    name: str, *, score: float | None = None, label: str | None = None, explanation: str = ""
) -> None:
    """Record a judgement of the agent's work by the evaluation ``name``."""
    open_span(
        "eval",
        f"evaluate {safe_text(name, NAME_LIMIT_CHARS)}",
        {
            names.EVAL_NAME: name,
            names.EVAL_SCORE: score,
            names.EVAL_LABEL: label,
            names.EVAL_EXPLANATION: explanation or None,
        },
    ).end()
