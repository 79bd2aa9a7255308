"""One chosen span, as tabs of blocks: what it said first, what it is made of last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

from tachograph_dashboard.icons import LAYER_WORDS
from tachograph_dashboard.views import facts, times
from tachograph_dashboard.views.chat import conversation
from tachograph_dashboard.views.text import Budget, code
from tachograph_dashboard.views.tokens import token_sum
from tachograph_schemas import names, words
from tachograph_schemas.account.model import Account
from tachograph_schemas.rows import RunRow, SpanRow
from tachograph_schemas.rows_costs import ModelPrice

Block = dict[str, Any]
_NAME_CHARS = 160
_MESSAGE_CHARS = 2_000
_ROWS_MOST = 300
_CELL_CHARS = 2_000
# Their content says more than a sentence about it.
_SPEAK_FOR_THEMSELVES = {"model", "tool", "run", "agent", "step", "retrieval", "other"}
# Shown as messages, arguments and results already.
_PAYLOADS = {
    names.INPUT,
    names.OUTPUT,
    names.GEN_AI_INPUT_MESSAGES,
    names.GEN_AI_OUTPUT_MESSAGES,
    names.GEN_AI_TOOL_CALL_ARGUMENTS,
    names.GEN_AI_TOOL_CALL_RESULT,
    "input.value",
    "output.value",
}


def details(
    span: SpanRow,
    run: RunRow,
    account: Account,
    where: tzinfo,
    download: str,
    price: ModelPrice | None = None,
) -> dict[str, Any]:
    """What the details draw for ``span``; ``download`` is a link to it whole, ``price`` its model's."""
    budget = Budget()
    own = [*_trouble(span), *_said(span, account)]
    layer_tabs = _layer_tabs(span, budget, price)
    first_title, first_blocks = layer_tabs[0]
    tabs = [(first_title, [*own, *first_blocks]), *layer_tabs[1:]]
    tabs.append(("Record", _record(span, where, budget, download)))
    started_ns = int(run.started_at.timestamp() * 1e9)
    return {
        "run": run.run_id,
        "span": span.span_id,
        "name": words.excerpt(_name(span), _NAME_CHARS),
        "layer": span.layer,
        "chips": _chips(span, run),
        "when": _when(span, span.start_ns - started_ns),
        "tabs": [{"title": title, "blocks": blocks} for title, blocks in tabs],
    }


def _when(span: SpanRow, ns: int) -> str:
    since = "from the start" if ns < 1_000_000 else f"{words.duration(ns)} into the run"
    return since if span.is_open else f"{words.duration(span.duration_ns)}, {since}"


def _name(span: SpanRow) -> str:
    return (span.tool if span.layer == "tool" else "") or span.name or "(no name)"


def _chips(span: SpanRow, run: RunRow) -> list[dict[str, str]]:
    chips = [{"text": LAYER_WORDS.get(span.layer, "other"), "tone": "plain"}]  # type: ignore[call-overload]  # a stored layer may be newer than ours
    if span.status == "error":
        chips.append({"text": "failed", "tone": "bad"})
    if span.is_open:
        running = run.outcome == "running"
        text, tone = ("running", "live") if running else ("did not end", "bad")
        chips.append({"text": text, "tone": tone})
    if span.attributes.get(names.ABANDONED) == "true":
        chips.append({"text": "abandoned by its consumer", "tone": "warn"})
    return chips


def _trouble(span: SpanRow) -> list[Block]:
    """What went wrong: type, message, stack."""
    if span.status != "error":
        return []
    raised = [attributes for _, name, attributes in span.events if name == names.EXCEPTION_EVENT]
    last: Mapping[str, str] = raised[-1] if raised else {}
    kind = last.get(names.EXCEPTION_TYPE) or span.error_type
    message = last.get(names.EXCEPTION_MESSAGE) or span.status_message
    title = "It failed" if not kind or kind == "_OTHER" else kind
    return [
        {
            "kind": "say",
            "tone": "bad",
            "text": words.excerpt(title, 200),
            "detail": words.plain(message[:_MESSAGE_CHARS], newlines=True),
        }
    ]


def _stack(span: SpanRow, budget: Budget) -> list[Block]:
    return [
        code("Stack trace", attributes[names.EXCEPTION_STACKTRACE], budget) | {"json": False}
        for _, name, attributes in span.events
        if name == names.EXCEPTION_EVENT and attributes.get(names.EXCEPTION_STACKTRACE)
    ]


def _said(span: SpanRow, account: Account) -> list[Block]:
    """The account's own sentence about this span, where it has one that adds something."""
    if span.layer in _SPEAK_FOR_THEMSELVES or span.status == "error":
        return []
    answers = (line for section in account.sections for line in section.lines)
    for line in (*account.story, *answers):
        if line.span_id == span.span_id and line.count == 1:
            tone = "warn" if line.tone == "waiting" else line.tone
            detail = words.excerpt(line.detail, 600)
            text = words.excerpt(line.text, 400)
            return [{"kind": "say", "tone": tone, "text": text, "detail": detail}]
    return []


def _layer_tabs(
    span: SpanRow, budget: Budget, price: ModelPrice | None
) -> list[tuple[str, list[Block]]]:
    if span.layer == "model":
        return _model_tabs(span, budget, price)
    return _tool_tabs(span, budget) if span.layer == "tool" else _plain_tabs(span, budget)


def _model_tabs(
    span: SpanRow, budget: Budget, price: ModelPrice | None
) -> list[tuple[str, list[Block]]]:
    asked = [
        ("Model", span.model or "not said"),
        ("Provider", span.provider),
        ("Stopped because", span.finish_reason.replace("_", " ")),
        ("Temperature", span.attributes.get(names.GEN_AI_REQUEST_TEMPERATURE, "")),
        ("Output limit", span.attributes.get(names.GEN_AI_REQUEST_MAX_TOKENS, "")),
        ("First token after", _seconds(span, names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK_S)),
        ("Tokens", words.tokens(_tokens(span)) if _tokens(span) else "not reported"),
        ("Cost", words.usd(span.cost_usd)),
    ]
    head = [_facts(asked)]
    tools = span.attributes.get(names.GEN_AI_TOOL_DEFINITIONS, "")
    tabs = [
        ("Messages", [*head, *conversation(span, budget), *_stack(span, budget)]),
        ("Tokens and cost", [token_sum(span, price)]),
    ]
    if tools:
        tabs.append(("Tools offered", [code("Tool definitions", tools, budget)]))
    return tabs


def _tool_tabs(span: SpanRow, budget: Budget) -> list[tuple[str, list[Block]]]:
    rows = facts.facts(span)
    said = [{"kind": "facts", "rows": rows}] if rows else []
    given = code("Arguments", span.input, budget)
    answer = code("Result", span.output, budget)
    if span.output or not (span.is_open or span.status == "error"):
        return [("Call", [*said, {"kind": "pair", "left": given, "right": answer}])]
    return [("Call", [*said, given, *_stack(span, budget)])]


def _plain_tabs(span: SpanRow, budget: Budget) -> list[tuple[str, list[Block]]]:
    """Any other layer: its facts in words, then what went in and came out."""
    rows = facts.facts(span)
    blocks: list[Block] = [{"kind": "facts", "rows": rows}] if rows else []
    titles = _PAYLOAD_TITLES.get(span.layer, ("Input", "Output"))
    given = [
        code(title, payload, budget)
        for title, payload in zip(titles, (span.input, span.output), strict=True)
        if payload
    ]
    if len(given) == 2:
        blocks.append({"kind": "pair", "left": given[0], "right": given[1]})
    else:
        blocks += given
    blocks += _stack(span, budget)
    if not blocks:
        text = "It carries no content of its own; what happened in it is in the spans inside."
        blocks.append({"kind": "say", "tone": "plain", "text": text, "detail": ""})
    return [("Content", blocks)]


_PAYLOAD_TITLES = {
    "gate": ("Proposal", "Result"),
    "approval": ("Shown to the approver", "Answer"),
    "validation": ("Checked", "Result"),
    "repair": ("Before", "After"),
    "retrieval": ("Query", "Found"),
    "handoff": ("Handed over", "Result"),
    "checkpoint": ("State", "Result"),
}


def _record(span: SpanRow, where: tzinfo, budget: Budget, download: str) -> list[Block]:
    """The span as stored."""
    started = datetime.fromtimestamp(span.start_ns / 1e9, UTC)
    rows = [
        ("Span", span.span_id),
        ("Parent", span.parent_span_id),
        ("Trace", span.trace_id),
        ("Started", times.whole(started, where)),
        ("Status", span.status + (f", {span.status_message}" if span.status_message else "")),
        ("Kind", span.kind),
        ("Service", f"{span.service} {span.service_version}".strip()),
        ("Recorded by", f"{span.scope} {span.scope_version}".strip()),
        ("Tool call", span.tool_call_id),
        ("Response", span.response_id),
        ("Cut from payloads", _cut(span)),
        ("Secrets masked", span.attributes.get(names.REDACTED_COUNT, "")),
        ("Attributes dropped", str(span.dropped_attributes or "")),
    ]
    head = _facts(rows)
    for row in head["rows"]:
        if row["label"] == "Parent":
            row["span"] = span.parent_span_id
    own = ((key, value) for key, value in sorted(span.attributes.items()) if key not in _PAYLOADS)
    events = (
        (f"{name}, {words.duration(max(0, when - span.start_ns))} in", _together(attributes))
        for when, name, attributes in span.events
    )
    links = ((f"{trace} {other}", _together(attributes)) for trace, other, attributes in span.links)
    blocks = [
        head,
        _table("Attributes", ("Name", "Value"), own, budget, filtered=True),
        _table("Resource", ("Name", "Value"), sorted(span.resource.items()), budget),
        _table("Events", ("Event", "Attributes"), events, budget),
        _table("Links", ("To", "Attributes"), links, budget),
    ]
    kept = [block for block in blocks if block.get("rows")]
    return [
        *kept,
        {"kind": "download", "text": "Download this span whole, as JSON", "href": download},
    ]


def _table(
    title: str,
    columns: tuple[str, str],
    rows: Iterable[tuple[str, str]],
    budget: Budget,
    *,
    filtered: bool = False,
) -> Block:
    listed = list(rows)
    shown = [
        [words.excerpt(key, 200), budget.cut(value, _CELL_CHARS)[0]]
        for key, value in listed[:_ROWS_MOST]
    ]
    rest = len(listed) - len(shown)
    return {
        "kind": "table",
        "title": title,
        "columns": list(columns),
        "rows": shown,
        "filter": filtered,
        "more": f"{rest:,} more are in the download." if rest > 0 else "",
    }


def _together(attributes: Mapping[str, str]) -> str:
    return "\n".join(
        f"{key}: {value}" for key, value in attributes.items() if key != names.EXCEPTION_STACKTRACE
    )


def _facts(rows: Iterable[tuple[str, str]]) -> Block:
    listed = [
        {"label": label, "value": words.excerpt(value, 300), "tone": ""}
        for label, value in rows
        if value
    ]
    return {"kind": "facts", "rows": listed}


def _tokens(span: SpanRow) -> int | None:
    known = (
        span.input_tokens,
        span.cache_read_tokens,
        span.cache_write_tokens,
        span.output_tokens,
    )
    numbers = [number for number in known if number is not None]
    return sum(numbers) if numbers else None


def _seconds(span: SpanRow, attribute: str) -> str:
    try:
        return words.duration(float(span.attributes.get(attribute, "")) * 1e9)
    except ValueError:
        return ""


def _cut(span: SpanRow) -> str:
    count = span.attributes.get(names.TRUNCATED_BYTES, "")
    return f"{int(count):,} bytes" if count.isdigit() else ""
