"""Gates: what a rule said about a proposed action, and what was done about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from tachograph._facts import begin, misused, one_of
from tachograph._failure import safe_text
from tachograph._given import truth
from tachograph._layers import Risk
from tachograph.errors import Refused
from tachograph_schemas import names

VerdictWord = Literal["allow", "deny", "escalate"]
ActionWord = Literal["proceeded", "blocked", "escalated", "dry_run"]


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
            raise Refused(safe_text(self.rule), safe_text(self.reason), verdict=self.verdict)
        return self


def gate(
    rule: str,
    *,
    allow: bool | None = None,
    verdict: VerdictWord | None = None,
    action: ActionWord | None = None,
    proposal: Any = None,
    reason: str = "",
    risk: Risk | None = None,
    dry_run: bool = False,
) -> Verdict:
    """Record what a rule said about a proposed action, and what was done about it.

    Args:
        rule: The rule's name.
        allow: The answer as yes or no.
        verdict: The answer as ``allow``, ``deny`` or ``escalate`` (a person must decide).
        action: What is done, where that differs from the verdict: ``proceeded`` after a ``deny`` is a rule
            that only watches, ``blocked`` after an ``allow`` one that something else overruled.
        proposal: What was proposed; frozen as JSON.
        reason: Why, in a sentence.
        risk: ``low medium high critical``.
        dry_run: Recorded as it would be, but the action is not taken.

    Without an answer, or with two that contradict each other, the verdict is ``deny``.
    """
    said = _said(allow, verdict)
    taken = {"allow": "proceeded", "deny": "blocked", "escalate": "escalated"}[said]
    if action is not None:
        given = one_of("gate", "action", action, get_args(ActionWord))
        taken = given if given and given in get_args(ActionWord) else "blocked"
    if truth(dry_run) is not False:
        taken = "dry_run"
    handle = begin(
        "gate",
        rule,
        {
            names.GATE_RULE: rule,
            names.GATE_VERDICT: said,
            names.GATE_ACTION: taken,
            names.GATE_RISK: one_of("gate", "risk", risk, get_args(Risk)),
            names.REASON: reason,
        },
    )
    if proposal is not None:
        handle.set_input(proposal)
    handle.end()
    return Verdict(rule, said, taken == "proceeded", reason, taken == "dry_run")


def _said(allow: bool | None, verdict: VerdictWord | None) -> VerdictWord:
    """The verdict; what cannot be understood is no permission."""
    if (allow is None) == (verdict is None):
        misused("gate", "give either allow=True|False or verdict='allow'|'deny'|'escalate'")
    said = one_of("gate", "verdict", verdict, get_args(VerdictWord))
    permitted = truth(allow)
    if allow is not None and permitted is None:
        misused("gate", "allow is neither true nor false")
    if allow is not None and (said is None or not permitted):
        return "allow" if permitted else "deny"
    known: tuple[VerdictWord, ...] = get_args(VerdictWord)
    return next((word for word in known if word == said), "deny")
