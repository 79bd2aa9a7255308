"""Rows as the named queries give them, with one line of defaults, and a small way to tell a run."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tachograph_schemas import names
from tachograph_schemas.account import build
from tachograph_schemas.rows import AccountSpan, RunRow

MS = 1_000_000
STARTED = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
START_NS = int(STARTED.timestamp()) * 1_000_000_000

_SPAN = AccountSpan(
    span_id="", parent_span_id="", name="", layer="tool", status="ok", status_message="", verdict="",
    error_type="", start_ns=START_NS, duration_ns=10 * MS, is_open=False, agent="", provider="", model="",
    finish_reason="", tool="", tool_call_id="", input_text="", output_text="", input_tokens=None,
    output_tokens=None, cache_read_tokens=None, cache_write_tokens=None, reasoning_tokens=None,
    cost_usd=None, cost_status="", facts={},
)  # fmt: skip
_RUN = RunRow(
    run_id="a" * 32, project="default", agent="helper", service="helper", version="1.0", code_version="",
    name="invoke_agent helper", started_at=STARTED, ended_at=STARTED + timedelta(seconds=2),
    duration_ns=2_000 * MS, waiting_ns=0, outcome="success", stop_reason="", goal="Settle the ticket",
    input="", output="", error_type="", trigger="cli", entrypoint="app:main", span_count=0,
    spans_made=None, error_count=0, model_calls=0, tool_calls=0, tools=[], models=[], input_tokens=None,
    output_tokens=None, cache_read_tokens=None, cache_write_tokens=None, reasoning_tokens=None,
    cost_usd=None, unpriced_calls=0, session_id="", user_id="", customer="", tags=[], layer_counts={},
    root_span_id="root", last_seen_at=STARTED + timedelta(seconds=2),
)  # fmt: skip


def a_run(**values):
    return replace(_RUN, **values)


def a_span(span_id, layer, at_ms=0, ms=10, *, parent="root", error="", ours=True, **values):
    """A span ``at_ms`` after the start; ``error`` is its type; ``ours`` as our SDK marks it."""
    facts = dict(values.pop("facts", {}))
    if ours:
        facts.setdefault(names.LAYER, layer)
    if error:
        values.setdefault("status", "error")
        values["error_type"] = error
    values.setdefault("name", values.get("tool") or layer)
    return replace(
        _SPAN,
        span_id=span_id,
        parent_span_id=parent,
        layer=layer,
        start_ns=START_NS + int(at_ms * MS),
        duration_ns=int(ms * MS),
        facts=facts,
        **values,
    )


def a_root(ms=2000, **values):
    return a_span(
        "root", "run", 0, ms, parent="", agent="helper", name="invoke_agent helper", **values
    )


def a_tool(span_id, at_ms, tool, arguments=None, *, effect="read", ms=10, **values):
    facts = {names.TOOL_EFFECT: effect} if effect else {}
    text = json.dumps(arguments or {})
    return a_span(
        span_id,
        "tool",
        at_ms,
        ms,
        tool=tool,
        input_text=text,
        facts=facts | values.pop("facts", {}),
        **values,
    )


def an_answer(text):
    return json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": text}]}])


def requests(*calls):
    parts = [
        {"type": "tool_call", "id": f"c{at}", "name": name, "arguments": given}
        for at, (name, given) in enumerate(calls)
    ]
    return json.dumps([{"role": "assistant", "parts": parts}])


def a_model(span_id, at_ms, output="", *, model="gpt-5-mini", ms=10, **values):
    return a_span(
        span_id, "model", at_ms, ms, model=model, output_text=output, name=f"chat {model}", **values
    )


def tell(*spans, root=True, **run):
    """The account of a run with these spans under its root."""
    every = [a_root(), *spans] if root else list(spans)
    run.setdefault("span_count", len(every))
    return build(a_run(**run), every)


def texts(lines):
    return [line.text for line in lines]


def told(account):
    return texts(account.story)


def answers(account, key):
    return texts(account.section(key).lines)


def everything(account):
    """Every text of an account."""
    lines = [*account.story, *(line for section in account.sections for line in section.lines)]
    return [
        account.title,
        account.verdict,
        *account.warnings,
        *(line.text for line in lines),
        *(line.detail for line in lines),
    ]
