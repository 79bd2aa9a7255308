"""One sentence for each kind of step: agents, models, tools and what they read and wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tachograph_schemas import names, words
from tachograph_schemas.account import decisions, harness, payload, phrases
from tachograph_schemas.account.model import Line, Tone
from tachograph_schemas.account.timeline import (
    Timeline,
    agent_name,
    effect,
    error_kind,
    fact,
    is_abandoned,
    is_answered,
    is_halted,
    is_refused,
    label,
)
from tachograph_schemas.rows import AccountSpan

_DETAIL_CHARS = 400
NOT_READ = "its consumer stopped reading early"
"""Of a stream or generator that was left before its end."""


def sentence(view: Timeline, span: AccountSpan) -> Line:
    """What this span says, in one sentence."""
    line = _sentence(view, span)
    if is_abandoned(span) and span.layer != "model":
        return replace(
            line, text=f"{line.text}; {NOT_READ}", tone="bad" if line.tone == "bad" else "warn"
        )
    return line


def _sentence(view: Timeline, span: AccountSpan) -> Line:
    if span.layer == "model":
        decision = decisions.read(view, span)
        # The calls themselves follow as sentences of their own, with arguments and results.
        told = all(request.name in view.executed for request in decision.requests)
        return decisions.describe(view, decision, with_arguments=not told)
    if span.layer == "tool":
        return tool(view, span)
    if span.layer == "retrieval":
        return retrieval(view, span)
    if span.layer == "memory":
        return memory(view, span)
    if span.layer in {"agent", "run"}:
        return agent(view, span)
    if span.layer == "step":
        return step(view, span)
    return harness.sentence(view, span)


def failure(span: AccountSpan) -> str:
    """``ValueError: no price``, or as much of it as is recorded."""
    kind = error_kind(span)
    message = words.excerpt(span.status_message, 160)
    # Many clients repeat the type in the message.
    if kind and kind in message[:60]:
        return message
    return ": ".join(filter(None, [kind, message])) or "an error"


def tool_call(span: AccountSpan) -> str:
    """``refund(order_id='A-1007', usd=40)``."""
    return payload.call(span.tool or span.name, span.input_text)


def tool(view: Timeline, span: AccountSpan) -> Line:
    """A tool call and how it went."""
    if is_refused(span):
        return refused_call(view, span)
    said = tool_call(span)
    writes = effect(span) == "write"
    if span.is_open:
        world = ", and it may already have changed something" if writes else ""
        return view.line(span, f"The call {said} has not come back{world}", "warn")
    if is_halted(span):
        return halted(view, span)
    if span.status == "error":
        tone: Tone = "warn" if view.recovered(span) else "bad"
        return view.line(span, f"The call {said} failed: {failure(span)}", tone)
    if writes and is_answered(span):
        by = label(fact(span, names.CACHED_BY)) or "a cache"
        return view.line(
            span, f"Took the answer of {said} from {by}; nothing was done", "plain", result(span)
        )
    verb = "Carried out" if writes else "Called"
    return view.line(span, f"{verb} {said}", "good" if writes else "plain", result(span))


def halted(view: Timeline, span: AccountSpan) -> Line:
    """A call that a gate, a resumption or a budget ended: by what, as far as it is known."""
    why = words.excerpt(fact(span, names.REASON), 240)
    return view.line(span, f"The call {tool_call(span)} did not come to its end: {why}", "bad")


def refused_call(view: Timeline, span: AccountSpan) -> Line:
    """A call that the model asked for and that was never made."""
    offered = phrases.items(fact(span, names.TOOL_OFFERED))
    scope = label(fact(span, names.TOOL_SCOPE))
    told = words.excerpt(fact(span, names.REASON), 240)
    details = [f"It was told: {told}" if told else ""]
    if fact(span, names.TOOL_REFUSAL) == "out_of_scope":
        missing = f" (it lacks {scope})" if scope else ""
        text = f"The model asked for {tool_call(span)}, which this agent may not use{missing}: not called"
        return view.line(span, text, "bad", ". ".join(filter(None, details)))
    details.append(f"The tools it was offered: {', '.join(offered)}" if offered else "")
    text = f"The model asked for {tool_call(span)}, a tool that does not exist: nothing was called"
    return view.line(span, text, "warn", ". ".join(filter(None, details)))


def result(span: AccountSpan) -> str:
    """The beginning of what came back."""
    said = payload.answer(span.output_text, _DETAIL_CHARS)
    return f"Result: {said}" if said else ""


def together(view: Timeline, spans: Sequence[AccountSpan]) -> Line:
    """Several calls that ran at the same time, as one sentence."""
    failed = [span for span in spans if span.status == "error"]
    if len(spans) > 4:
        counted: dict[str, int] = {}
        for span in spans:
            name = label(span.tool or span.name)
            counted[name] = counted.get(name, 0) + 1
        said = [f"{name} {words.times(n)}" if n > 1 else name for name, n in counted.items()]
    else:
        said = [payload.call(span.tool or span.name, span.input_text, 60) for span in spans]
    text = f"Called {words.joined(said)} at the same time"
    if failed:
        reasons = [
            f"{label(span.tool or span.name)} failed: {failure(span)}" for span in failed[:2]
        ]
        more = f" and {len(failed) - 2} more failed" if len(failed) > 2 else ""
        text = f"{text}; {'; '.join(reasons)}{more}"
    unread = [label(span.tool or span.name) for span in spans if is_abandoned(span)]
    if unread:
        text = f"{text}; the consumer of {words.joined(unread[:4])} stopped reading early"
    tone: Tone = "warn" if unread else "plain"
    if failed:
        tone = "warn" if all(view.recovered(span) for span in failed) else "bad"
    elif not unread and any(effect(span) == "write" for span in spans):
        tone = "good"
    results = [
        f"{label(span.tool or span.name)}: {answer}"
        for span in spans[:4]
        if (answer := payload.answer(span.output_text, 100))
    ]
    return view.line(failed[0] if failed else spans[0], text, tone, " · ".join(results))


def query(span: AccountSpan) -> str:
    """What was searched for."""
    said = fact(span, names.GEN_AI_RETRIEVAL_QUERY_TEXT) or payload.task(span.input_text, 160)
    return f" for “{words.excerpt(said, 160)}”" if said else ""


def store(span: AccountSpan) -> str:
    """What was searched."""
    return label(span.name.removeprefix("retrieval "))


def retrieval(view: Timeline, span: AccountSpan) -> Line:
    """A search in a store of documents."""
    if span.status == "error":
        tone: Tone = "warn" if view.recovered(span) else "bad"
        return view.line(span, f"Searching {store(span)} failed: {failure(span)}", tone)
    if span.is_open:
        return view.line(span, f"Searching {store(span)}{query(span)} has not come back", "warn")
    return view.line(span, f"Searched {store(span)}{query(span)}", "plain", result(span))


def memory(view: Timeline, span: AccountSpan) -> Line:
    """A read from or a write to the agent's memory."""
    tier = {"short": "session ", "medium": "task ", "long": "long-term "}.get(
        fact(span, names.MEMORY_TIER), ""
    )
    said = payload.call(span.name, span.input_text)
    if span.status == "error":
        return view.line(span, f"The {tier}memory did not answer {said}: {failure(span)}", "bad")
    verb = {"write": "Wrote to", "read": "Read from"}.get(effect(span), "Used")
    return view.line(span, f"{verb} the {tier}memory: {said}", "plain", result(span))


def agent(view: Timeline, span: AccountSpan) -> Line:
    """A sub-agent's whole piece of work, told where it began."""
    if span.layer == "run":
        again = "taken up again" if fact(span, names.RESUMED) else "started again"
        return view.line(span, f"The run was {again}", "warn", names_actor=False)
    text = f"The agent {label(agent_name(span))} started working"
    beside = view.beside.get(span.span_id)
    if beside is not None:
        text = f"{text} at the same time as {label(agent_name(beside))}"
    asked = payload.task(span.input_text, 160)
    said = f"{text}: “{asked}”" if asked else f"{text}{arguments_of(span)}"
    if span.status == "error":
        return view.line(span, f"{said}; it failed: {failure(span)}", "bad", names_actor=False)
    if span.is_open:
        return view.line(span, f"{said} and has not finished", "warn", names_actor=False)
    outcome = payload.answer(span.output_text, _DETAIL_CHARS)
    return view.line(
        span, said, "plain", f"Outcome: {outcome}" if outcome else "", names_actor=False
    )


def step(view: Timeline, span: AccountSpan) -> Line:
    """A named stretch of the agent's own code."""
    name = f"“{label(span.name)}”"
    if span.status == "error":
        return view.line(span, f"The step {name} failed: {failure(span)}", "bad")
    if span.is_open:
        return view.line(span, f"The step {name} has not finished", "warn")
    said = arguments_of(span)
    return view.line(span, f"Did the step {name}{said}", "plain", result(span))


def arguments_of(span: AccountSpan) -> str:
    """`` (with sprint=2)``; empty when there are none."""
    said = payload.arguments(span.input_text, 80)
    return f" with {said}" if said else ""
