"""How the run ended and why: the verdict, where it stopped, and what the reader must know of the record."""

from __future__ import annotations

from collections import Counter

from tachograph_schemas import names, words
from tachograph_schemas.account import harness, payload, phrases
from tachograph_schemas.account.model import Line, Tone
from tachograph_schemas.account.record import last_seconds
from tachograph_schemas.account.sentences import failure, sentence, tool_call
from tachograph_schemas.account.timeline import (
    Timeline,
    agent_name,
    effect,
    fact,
    is_refused,
    label,
    number,
    once,
)
from tachograph_schemas.rows import AccountSpan

_WORK = {"tool", "model", "retrieval", "memory", "step", "agent"}


def culprit(view: Timeline) -> AccountSpan | None:
    """The innermost failed step that explains why the run failed."""
    failed = [
        span
        for span in view.spans
        if span.status == "error"
        and span is not view.root
        and span.span_id not in view.error_parents
        and span.span_id not in view.second_views
        and not is_refused(span)
    ]
    kind = view.run.error_type
    same = [span for span in failed if kind and span.error_type == kind]
    unabsorbed = [span for span in same or failed if not view.recovered(span)]
    candidates = unabsorbed or same or failed
    return candidates[-1] if candidates else None


def stopper(view: Timeline) -> AccountSpan | None:
    """The stop rule or budget that ended the run."""
    said = view.run.stop_reason
    stops = [
        span
        for span in view.spans
        if span.layer == "stop"
        or (span.layer == "budget" and fact(span, names.BUDGET_ACTION) == "stopped")
    ]
    # An agent may catch its stop, go on, and be ended by something else.
    if view.run.outcome == "stopped" and said:
        stops = [span for span in stops if _gave_reason(span, said)]
    return stops[-1] if stops else None


def _gave_reason(span: AccountSpan, said: str) -> bool:
    rule, why = fact(span, names.STOP_RULE), fact(span, names.REASON)
    return bool((rule and f"stopped by {rule}" in said) or (why and why in said))


def _refused_by_gate(view: Timeline) -> bool:
    said = view.run.stop_reason
    return any(
        said.startswith(f"refused by {rule}")
        for span in view.calls("gate")
        if fact(span, names.GATE_VERDICT) != "allow" and (rule := fact(span, names.GATE_RULE))
    )


def place(span: AccountSpan) -> str:
    """Where a step was: ``the call refund(…)``, ``a call of the model gpt-5``, ``the step plan``."""
    if span.layer == "tool":
        return f"the call {tool_call(span)}"
    if span.layer == "model":
        return f"a call of the model {label(span.model)}" if span.model else "a model call"
    if span.layer == "agent":
        return f"the agent {label(agent_name(span))}"
    if span.layer == "approval":
        asked = words.excerpt(fact(span, names.APPROVAL_REQUEST) or phrases.proposal(span), 160)
        return f"the wait for a person to decide on “{asked}”" if asked else "the wait for a person"
    if span.layer == "run":
        return "the agent's own code"
    return f"the {label(span.layer)} {label(span.name)}"


@once
def verdict(view: Timeline) -> tuple[str, Tone]:
    """One sentence: how it ended and why."""
    run = view.run
    took = words.duration(run.duration_ns)
    if run.outcome == "success":
        notes = absorbed(view)
        return (
            f"Finished successfully in {took}{f'; {words.joined(notes)}' if notes else ''}",
            "good",
        )
    if run.outcome == "failure":
        return f"Failed after {took}{_why_failed(view)}", "bad"
    if run.outcome == "stopped":
        meant = stopper(view) is not None or _refused_by_gate(view)
        purpose = " on purpose" if meant else ""
        return f"Stopped{purpose} after {took}{_why_stopped(view)}", "warn"
    stands = view.open_leaves()
    where = f" in {place(stands[-1])}" if stands and stands[-1] is not view.root else ""
    if run.outcome == "running":
        if stands and stands[-1].layer == "approval" and fact(stands[-1], names.ORDER_BY):
            by = label(fact(stands[-1], names.ORDER_BY))
            return f"Paused by {by}: {_asked(stands[-1])}", "waiting"
        if stands and stands[-1].layer == "approval":
            return f"Waiting for a person: {_asked(stands[-1])}", "waiting"
        return f"Still running after {took}{f', now{where}' if where else ''}", "plain"
    last = words.moment(run.last_seen_at)
    if not view.spans or any(span.is_open for span in view.spans):
        return f"Broke off{where} without an ending: no sign of life since {last}", "bad"
    return f"No ending was recorded: the last sign of life came at {last}", "bad"


def _asked(span: AccountSpan) -> str:
    asked = words.excerpt(fact(span, names.APPROVAL_REQUEST) or phrases.proposal(span), 200)
    return f"“{asked}”" if asked else "the request is not recorded"


def _why_failed(view: Timeline) -> str:
    cause = culprit(view)
    root = view.root
    said = failure(root) if root is not None and root.status == "error" else ""
    if cause is not None:
        if cause.error_type not in {"", "_OTHER"} or cause.status_message:
            said = failure(cause)
        return f" with {said}, in {place(cause)}" if said else f" in {place(cause)}"
    said = said or words.excerpt(view.run.stop_reason, 240) or label(view.run.error_type)
    return f" with {said}" if said else "; no reason is recorded"


def _why_stopped(view: Timeline) -> str:
    span = stopper(view)
    if span is not None and span.layer == "budget":
        text = harness.budget(span)[0]
        return f": {text[:1].lower()}{text[1:]}"
    if span is not None:
        rule = phrases.quoted(span, names.STOP_RULE, "stop ")
        return f" by the rule {rule}{phrases.because(span)}"
    reason = words.excerpt(view.run.stop_reason, 240)
    return f": {reason}" if reason else "; no reason is recorded"


def absorbed(view: Timeline) -> list[str]:
    """What went wrong on the way and was dealt with: counted, for one sentence."""
    facts = Counter[str]()
    for span in view.spans:
        if span.span_id in view.second_views:
            continue
        if span.layer == "run" and fact(span, names.RESUMED):
            facts["resumed"] += 1
        elif is_refused(span):
            facts["unasked"] += 1
        elif (
            span.status == "error"
            and span.span_id not in view.error_parents
            and span.layer in _WORK
        ):
            facts["failed"] += 1
        elif span.layer == "gate" and fact(span, names.GATE_VERDICT) == "deny":
            facts["denied"] += fact(span, names.GATE_ACTION) != "proceeded"
        elif span.layer == "repair" and fact(span, names.REPAIR_OUTCOME) == "repaired":
            facts["repaired"] += number(span, names.REPAIR_ATTEMPT) > 0
        elif span.layer in {"retry", "fallback"}:
            facts[span.layer] += 1
        elif span.layer == "approval" and fact(span, names.APPROVAL_DECISION):
            facts[_decided(span)] += 1
    said = [
        ("failed", "step failed on the way", "steps failed on the way"),
        ("resumed", "new attempt took it up again", "new attempts took it up again"),
        ("retry", *harness.RETRIES),
        ("fallback", "stand-in was used", "stand-ins were used"),
        ("repaired", "answer was repaired", "answers were repaired"),
        (
            "unasked",
            "call was refused before it was made",
            "calls were refused before they were made",
        ),
        ("denied", "proposal was refused by a gate", "proposals were refused by gates"),
        ("approved", "action was approved by a person", "actions were approved by a person"),
        ("refused", "action was refused by a person", "actions were refused by a person"),
        ("unnamed", "action was not approved", "actions were not approved"),
        ("nobody", *(f"{each} not approved: nobody was there to ask" for each in _WERE)),
        ("timeout", *(f"{each} not approved: nobody decided in time" for each in _WERE)),
    ]
    return [words.count(facts[key], one, many) for key, one, many in said if facts[key]]


_WERE = ("action was", "actions were")


def _decided(span: AccountSpan) -> str:
    """A decision, with a refusal by a known person apart from the others."""
    decision = fact(span, names.APPROVAL_DECISION)
    if harness.nobody_to_ask(span):
        return "nobody"
    if decision == "refused" and not fact(span, names.APPROVAL_APPROVER):
        return "unnamed"
    return decision


def last_line(view: Timeline) -> Line:
    """The end of the story: the verdict, with what the run answered."""
    text, tone = verdict(view)
    said = payload.answer(view.run.output, 600) if view.run.ended_at is not None else ""
    return Line(
        text=text,
        layer="run",
        tone=tone,
        span_id=view.run.root_span_id,
        offset_ns=view.run.duration_ns,
        detail=f"Answer: {said}" if said and view.run.outcome != "failure" else "",
    )


def stopped(view: Timeline) -> list[Line]:
    """Where and why it ended, and what a person needs to take over."""
    text, tone = verdict(view)
    lines = [Line(text, "run", tone, view.run.root_span_id, view.run.duration_ns)]
    cause = culprit(view) if view.run.outcome == "failure" else stopper(view)
    if cause is not None and cause.layer not in {"stop", "budget"}:
        lines.append(sentence(view, cause))
    if cause is not None and cause.layer == "stop":
        needs = words.excerpt(fact(cause, names.STOP_NEEDS), 600)
        said = (
            f"To take over, a person needs: {needs}"
            if needs
            else "What a person needs to take over is not recorded"
        )
        lines.append(view.line(cause, said, "waiting" if needs else "plain"))
    lines.extend(_open(view, span) for span in view.open_leaves()[:5] if span is not view.root)
    lines.extend(last_seconds(view))
    last = _last_step(view)
    if last is not None and last is not cause:
        line = sentence(view, last)
        lines.append(
            view.line(
                last,
                f"The last step: {line.text[:1].lower()}{line.text[1:]}",
                detail=line.detail,
                names_actor=False,
            )
        )
    return lines


def _open(view: Timeline, span: AccountSpan) -> Line:
    state = "It is now in" if view.is_running else "It was in"
    since = f", since {view.at(span.start_ns - view.start_ns)}"
    risk = ""
    if effect(span) == "write" and not view.is_running:
        risk = "; check whether it took effect before starting again"
    tone: Tone = "waiting" if span.layer == "approval" else "warn"
    return view.line(span, f"{state} {place(span)}{since}{risk}", tone, names_actor=False)


def _last_step(view: Timeline) -> AccountSpan | None:
    steps = [
        span
        for span in view.spans
        if span.layer not in {"run", "agent", "budget", "stop", "retry", "context"}
        and not span.is_open
        and span.span_id not in view.second_views
        and (span.layer != "step" or fact(span, names.LAYER))
    ]
    return max(steps, key=lambda span: span.end_ns, default=None)
