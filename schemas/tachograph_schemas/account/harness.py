"""One sentence for each layer of the harness: gates, checks, repairs, people, budgets, stops and the rest."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from tachograph_schemas import names, words
from tachograph_schemas.account import payload, surroundings
from tachograph_schemas.account.model import Line, Tone
from tachograph_schemas.account.phrases import Told, because, named, proposal, quoted
from tachograph_schemas.account.timeline import Timeline, error_kind, fact, label, number, once
from tachograph_schemas.rows import AccountSpan


def sentence(view: Timeline, span: AccountSpan) -> Line:
    """The sentence of a harness span; a layer without facts is named and no more."""
    tell = _BY_LAYER.get(span.layer, _other)
    text, tone, detail = tell(span)
    spent = repair_costs(view).get(span.span_id) if span.layer == "repair" else None
    if spent:
        text = f"{text}; its model calls cost {words.usd(spent)}"
    # A retry has said which error it is about: the error of another call.
    if span.status == "error" and tone != "bad" and span.layer != "retry":
        text, tone = f"{text}; it failed with {error_kind(span) or 'an error'}", "bad"
    return view.line(span, text, tone, detail)


_NEAREST = 32
"""How far up a model call's repair loop is looked for: trees may be as deep as they are long."""
RETRIES = ("failed attempt announced another try", "failed attempts announced another try")
"""One and many; whether the next try came is another span's to tell."""
NO_APPROVER = "no approver is configured"
"""The reason that the SDK records for an approval without an approver."""


_WOULD = {"allow": "would have allowed", "deny": "would have refused"}
_WOULD_ALONE = {"allow": "would have let it go on", "deny": "would have refused to go on"}
_SAID: dict[str, tuple[str, str, Tone]] = {
    "allow": ("allowed", "let it go on", "good"),
    "deny": ("refused", "refused to go on", "bad"),
    "escalate": ("wanted a person to decide on", "wanted a person to decide", "waiting"),
}
"""By verdict: what was said about a proposal, what was said without one, and how that sounds."""


def gate(span: AccountSpan) -> Told:
    """A rule's verdict on a proposed action, and what was done about it."""
    rule = quoted(span, names.GATE_RULE, "gate ")
    verdict, action = fact(span, names.GATE_VERDICT), fact(span, names.GATE_ACTION)
    proposed = proposal(span)
    risk = fact(span, names.GATE_RISK)
    detail = f"Risk: {label(risk)}" if risk else ""
    alone = not proposed and bool(verdict)
    what = "" if alone else f" {proposed or 'the proposal'}"
    would = (
        _WOULD_ALONE.get(verdict, "would have asked a person")
        if alone
        else _WOULD.get(verdict, "would have asked a person about")
    )
    if action == "dry_run":
        return f"The gate {rule} {would}{what} (dry run){because(span)}", "warn", detail
    if action == "proceeded" and verdict in {"deny", "escalate"}:
        went = "it only watches, so the action went ahead"
        return f"The gate {rule} {would}{what}, but {went}{because(span)}", "warn", detail
    if verdict in _SAID:
        about, by_itself, tone = _SAID[verdict]
        overruled = verdict == "allow" and action in {"blocked", "escalated"}
        still = f", but the action was {label(action)} all the same" if overruled else ""
        said = f"{by_itself if alone else about}{what}{still}"
        return f"The gate {rule} {said}{because(span)}", "warn" if overruled else tone, detail
    outcome = payload.answer(span.output_text, 200)
    return (
        f"The guardrail {rule} looked at{what}",
        "plain",
        f"It said: {outcome}" if outcome else "",
    )


def validation(span: AccountSpan) -> Told:
    """A check of an answer."""
    check = quoted(span, names.VALIDATION_CHECK, "validate ")
    field = fact(span, names.VALIDATION_FIELD)
    about = f" on {label(field)}" if field else ""
    kind = fact(span, names.VALIDATION_KIND)
    judge = fact(span, names.VALIDATION_BY)
    who = "An independent check" if kind == "verification" else "The check"
    by = f" by {label(judge)}" if judge else ""
    found = proposal(span, 200)
    detail = ". ".join(
        filter(
            None,
            [f"Kind of check: {label(kind)}" if kind else "", f"Found: {found}" if found else ""],
        )
    )
    if fact(span, names.VALIDATION_VERDICT) == "fail":
        return f"{who} {check}{by}{about} failed{because(span)}", "warn", detail
    if fact(span, names.VALIDATION_VERDICT) == "pass":
        return f"{who} {check}{by}{about} passed{because(span)}", "good", detail
    return f"{who} {check}{by}{about} ran", "plain", detail


@once
def repair_costs(view: Timeline) -> dict[str, float]:
    """By the id of a repair loop: what the model calls made in it cost, in USD, as far as known."""
    costs: dict[str, float] = {}
    if view.calls("repair"):
        for call in view.calls("model"):
            above = islice(view.ancestors(call), _NEAREST)
            loop = next((span for span in above if span.layer == "repair"), None)
            if loop is not None and call.cost_usd:
                costs[loop.span_id] = costs.get(loop.span_id, 0.0) + call.cost_usd
    return costs


def repair(span: AccountSpan) -> Told:
    """A repair loop, told where it began."""
    what = named(span, "", "repair ")
    tried = number(span, names.REPAIR_ATTEMPT)
    most = number(span, names.REPAIR_MAX_ATTEMPTS)
    allowed = f" of at most {most}" if most else ""
    feedback = words.excerpt(fact(span, names.REPAIR_FEEDBACK), 300)
    detail = f"Feedback given: {feedback}" if feedback else ""
    outcome = fact(span, names.REPAIR_OUTCOME)
    if outcome == "repaired" and not tried:
        return f"No repair was needed: {what}", "plain", detail
    if outcome == "repaired":
        return f"Repaired {what} in {words.count(tried, 'attempt')}{allowed}", "good", detail
    if outcome == "gave_up":
        return (
            f"Gave up repairing {what} after {words.count(tried, 'attempt')}{allowed}{because(span)}",
            "bad",
            detail,
        )
    return f"Repairing {what}: attempt {max(tried, 1)}{allowed}", "warn", detail


_RETRY_CAME = {
    "succeeded": "and that worked",
    "failed": "which failed too",
    "gave_up": "which failed too, and given up",
}


def retry(span: AccountSpan) -> Told:
    """A failed attempt that announced another, and what came of that one where it is known."""
    what = named(span, names.RETRY_OF, "retry ")
    attempt = max(number(span, names.RETRY_ATTEMPT), 1)
    kind = error_kind(span)
    failed = f"Attempt {attempt} of {what} failed{f' with {kind}' if kind else ''}"
    wait_ms = number(span, names.RETRY_WAIT_MS)
    wait = words.duration(wait_ms * 1_000_000) if wait_ms else ""
    came = _RETRY_CAME.get(fact(span, names.RETRY_OUTCOME))
    if came:
        again = f"tried again{f' after {wait}' if wait else ''}, {came}"
    else:
        again = f"to be tried again{f' in {wait}' if wait else ''}"
    # The failed call itself has said what was wrong.
    detail = "" if kind else words.excerpt(span.status_message or fact(span, names.REASON), 300)
    return f"{failed}; {again}", "warn", detail


def breaker(span: AccountSpan) -> Told:
    """A circuit breaker that changed its state."""
    name = quoted(span, names.BREAKER_NAME, "breaker ")
    to = fact(span, names.BREAKER_TO)
    if fact(span, names.BREAKER_EVENT) == "refused":
        call = label(fact(span, names.BREAKER_REFUSED)) or "a call"
        return (
            f"The circuit breaker {name} was open: {call} was not tried{because(span)}",
            "warn",
            "",
        )
    if to == "open":
        return (
            f"The circuit breaker {name} opened: no further calls for now{because(span)}",
            "bad",
            "",
        )
    if to == "half_open":
        return f"The circuit breaker {name} lets one call through to see{because(span)}", "warn", ""
    if to == "closed":
        return (
            f"The circuit breaker {name} closed: calls go through again{because(span)}",
            "good",
            "",
        )
    return (
        f"The circuit breaker {name} changed{f' to {label(to)}' if to else ''}{because(span)}",
        "warn",
        "",
    )


def fallback(span: AccountSpan) -> Told:
    """A stand-in for something that was not available."""
    to = named(span, names.FALLBACK_TO, "fallback ")
    instead = fact(span, names.FALLBACK_FROM)
    less = words.excerpt(fact(span, names.FALLBACK_REDUCED), 240)
    told = words.excerpt(fact(span, names.FALLBACK_TOLD), 240)
    details = [
        f"What it cannot do: {less}" if less else "",
        f"The user was told: {told}" if told else "",
    ]
    return (
        f"Fell back to {to}{f' instead of {label(instead)}' if instead else ''}{because(span)}",
        "warn",
        ". ".join(filter(None, details)),
    )


def nobody_to_ask(span: AccountSpan) -> bool:
    """Whether an approval was refused because there was no approver: no person, and no waiting."""
    refused = fact(span, names.APPROVAL_DECISION) == "refused"
    return (
        refused
        and not fact(span, names.APPROVAL_APPROVER)
        and fact(span, names.REASON) == NO_APPROVER
    )


def _pause(span: AccountSpan, by: str) -> Told:
    """A pause that a person ordered."""
    asked = words.excerpt(fact(span, names.APPROVAL_REQUEST), 300)
    who, detail = label(by), f"Reason given: {asked}" if asked else ""
    if span.is_open:
        return f"Paused by {who}", "waiting", detail
    waited = words.duration(number(span, names.WAITING_NS))
    other = label(fact(span, names.APPROVAL_APPROVER))
    if fact(span, names.APPROVAL_DECISION) == "stopped":
        return f"Paused by {who} for {waited}, then stopped by {other}", "warn", detail
    let_go = f"{other} let it go on" if other else f"it went on{because(span)}"
    return f"Paused by {who} for {waited}; {let_go}", "waiting", detail


def approval(span: AccountSpan) -> Told:
    """A person's decision, or the wait for it."""
    if by := fact(span, names.ORDER_BY):
        return _pause(span, by)
    asked = words.excerpt(fact(span, names.APPROVAL_REQUEST) or proposal(span), 200)
    request = f": “{asked}”" if asked else ""
    who = label(fact(span, names.APPROVAL_APPROVER)) or "Somebody who is not named"
    decision = fact(span, names.APPROVAL_DECISION)
    waiting_ns = number(span, names.WAITING_NS)
    after = f" after {words.duration(waiting_ns)}" if waiting_ns else ""
    reason = words.excerpt(fact(span, names.REASON), 300)
    detail = f"Reason given: {reason}" if reason else ""
    if span.is_open:
        return f"Waiting for a person to decide{request}", "waiting", ""
    if decision == "approved":
        changed = " with other arguments" if fact(span, names.APPROVAL_EDITED) else ""
        return f"{who} approved{after}{changed}{request}", "good", detail
    if nobody_to_ask(span):
        return f"Not approved, as nobody was there to ask{request}", "bad", ""
    if decision == "refused":
        if not fact(span, names.APPROVAL_APPROVER):
            return f"Approval was refused{after}{request}", "bad", detail
        return f"{who} refused{after}{request}", "bad", detail
    if decision == "timeout":
        return (
            f"Nobody decided in time{f', {words.duration(waiting_ns)} long' if waiting_ns else ''}{request}",
            "bad",
            detail,
        )
    if decision == "pending":
        return (
            f"A person was asked{request}; the run stopped until there is an answer",
            "waiting",
            "",
        )
    return f"A person was asked{request}; no decision is recorded", "warn", detail


def amount(unit: str, text: str) -> str:
    """An amount of a budget: ``$0.05``, ``10 model calls``, ``30.0 s``."""
    try:
        size = float(text)
    except ValueError:
        return label(text)
    if unit == "usd":
        return words.usd(size)
    if unit == "wall_s":
        return words.duration(size * 1e9) if size < 1e12 else label(text)
    noun = label(unit).replace("_", " ").removesuffix("s")
    return words.count(int(size), noun) if abs(size) < 1e15 else label(text)


def budget(span: AccountSpan) -> Told:
    """A budget that warned, stopped, or sent the agent a cheaper way."""
    scope = label(fact(span, names.BUDGET_SCOPE)) or "run"
    named = label(fact(span, names.BUDGET_NAME))
    scope = f"{scope} budget {named!r}" if named else f"{scope} budget"
    unit = fact(span, names.BUDGET_UNIT)
    limit = amount(unit, fact(span, names.BUDGET_LIMIT))
    used = amount(unit, fact(span, names.BUDGET_USED))
    needed = amount(unit, fact(span, names.BUDGET_NEEDED))
    held = amount(unit, fact(span, names.BUDGET_HELD))
    known = ((used, "used"), (held, "held for calls under way"), (needed, "needed at most"))
    why = ", ".join(f"{much} {what}" for much, what in known if much)
    ran_out = "had no room left" if _unmeasured(span) and (held or needed) else "was used up"
    action = fact(span, names.BUDGET_ACTION)
    if action == "stopped":
        return f"The {scope} of {limit} {ran_out}, so the next call was not made", "bad", why
    if action == "degraded":
        return (
            f"The {scope} of {limit} {ran_out}, so the agent went on the cheaper way",
            "warn",
            why,
        )
    if action == "warned" and _unmeasured(span) and not (held or needed):
        whole = f"The {scope} of {limit}" if limit else f"The {scope}"
        return f"{whole} could not be enforced{because(span)}", "warn", why
    if action == "warned":
        return f"The {scope} of {limit} was exceeded; it only warns", "warn", why
    return f"A {scope} of {limit} applied" if limit else f"A {scope} applied", "plain", why


def _unmeasured(span: AccountSpan) -> bool:
    """Whether a warning is about use that cannot be counted: what was counted is below the limit."""
    try:
        return float(fact(span, names.BUDGET_USED)) < float(fact(span, names.BUDGET_LIMIT))
    except ValueError:
        return bool(fact(span, names.REASON))


def stop(span: AccountSpan) -> Told:
    """A stop rule that ended the run."""
    rule = quoted(span, names.STOP_RULE, "stop ")
    needs = words.excerpt(fact(span, names.STOP_NEEDS), 400)
    return (
        f"Stopped by the rule {rule}{because(span)}",
        "waiting" if needs else "warn",
        f"To take over: {needs}" if needs else "",
    )


def handoff(span: AccountSpan) -> Told:
    """Work handed to somebody else."""
    to = named(span, names.HANDOFF_TO, "handoff to ", "handoff ")
    given_by = fact(span, names.HANDOFF_FROM)
    return (
        f"Handed over to {to}{f' (from {label(given_by)})' if given_by else ''}{because(span)}",
        "plain",
        proposal(span, 300),
    )


def _other(span: AccountSpan) -> Told:
    return f"Recorded {label(span.name)}", "plain", ""


_BY_LAYER: dict[str, Callable[[AccountSpan], Told]] = {
    "gate": gate,
    "validation": validation,
    "repair": repair,
    "retry": retry,
    "breaker": breaker,
    "fallback": fallback,
    "approval": approval,
    "checkpoint": surroundings.checkpoint,
    "budget": budget,
    "stop": stop,
    "handoff": handoff,
    "context": surroundings.context,
    "normalize": surroundings.normalize,
    "eval": surroundings.evaluation,
}
