"""The log records of a run and its spans, and the content that some clients send as log events only.

Clients of the GenAI convention may keep messages out of their spans and send them as events of the span
(``gen_ai.client.inference.operation.details``, before that one event a message), and results of evaluations as
``gen_ai.evaluation.result``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from clickhouse_connect.driver.client import Client

from tachograph_schemas import names
from tachograph_schemas.rows import SpanRow

MOST_ROWS = 1000
_DETAILS = "gen_ai.client.inference.operation.details"
_CHOICE = "gen_ai.choice"
_SPOKEN = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
# Claude Code's own events: the text is an attribute.
_TOLD = {"user_prompt": ("user", "prompt"), "assistant_response": ("assistant", "response")}
_WHOLE_CHARS = 4_000_000


@dataclass(frozen=True, slots=True)
class LogRow:
    """One log record."""

    time_ns: int
    trace_id: str
    span_id: str
    """Empty when it belongs to no span."""
    severity_number: int
    severity: str
    event_name: str
    """``gen_ai.evaluation.result`` and such; empty for plain records."""
    body: str
    service: str
    scope: str
    attributes: Mapping[str, str]


def span_logs(
    client: Client,
    run_id: str,
    span_id: str = "",
    project: str = "default",
    *,
    limit: int = 200,
    text_chars: int = 20_000,
) -> list[LogRow]:
    """The log records of a run, or of one of its spans, oldest first; blocks until they are there.

    At most ``limit`` records (never over :data:`MOST_ROWS`), each text cut to ``text_chars`` characters.

    Raises:
        StoreError: the engine refuses.
    """
    values = {
        "project": project,
        "run_id": run_id,
        "span_id": span_id,
        "limit": max(0, min(limit, MOST_ROWS)),
        "text_chars": max(0, min(text_chars, _WHOLE_CHARS)),
    }
    return [LogRow(*row) for row in client.query(_sql(), parameters=values).result_rows]


def with_content(client: Client, span: SpanRow, project: str) -> SpanRow:
    """The span, its input and output taken from its log events where it has none of its own."""
    if span.input and span.output:
        return span
    found = span_logs(
        client, span.run_id, span.span_id, project, limit=MOST_ROWS, text_chars=_WHOLE_CHARS
    )
    if not found:
        return span
    given, answered = content(found)
    return replace(span, input=span.input or given, output=span.output or answered)


def content(rows: Iterable[LogRow]) -> tuple[str, str]:
    """The messages that went in and came out as a span's log events tell them, as JSON; empty when they do not."""
    details_in = details_out = ""
    spoken_in: list[Any] = []
    spoken_out: list[Any] = []
    for row in rows:
        if row.event_name == _DETAILS:
            details_in = row.attributes.get(names.GEN_AI_INPUT_MESSAGES, "") or details_in
            details_out = row.attributes.get(names.GEN_AI_OUTPUT_MESSAGES, "") or details_out
        elif row.event_name in _SPOKEN:
            spoken_in.append(_message(_SPOKEN[row.event_name], _said(row)))
        elif row.event_name == _CHOICE:
            said = _said(row)
            inner = said.get("message")
            spoken_out.append(_message("assistant", inner if isinstance(inner, dict) else said))
        elif row.event_name in _TOLD:
            role, attribute = _TOLD[row.event_name]
            told = spoken_in if role == "user" else spoken_out
            told.append(_message(role, {"content": row.attributes.get(attribute)}))
    return details_in or _text(spoken_in), details_out or _text(spoken_out)


def _said(row: LogRow) -> dict[str, Any]:
    """The body of an event that holds one message; of some clients its attributes."""
    try:
        body = json.loads(row.body)
    except ValueError:
        body = None
    if isinstance(body, dict):
        return body
    return {"content": row.body} if row.body else dict(row.attributes)


def _message(role: str, said: Mapping[str, Any]) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    text = said.get("content")
    if role == "tool":
        parts.append({"type": "tool_call_response", "id": said.get("id"), "response": text})
    elif text not in {None, ""} if isinstance(text, str | None) else True:
        parts.append({"type": "text", "content": text})
    calls = said.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        if isinstance(call, dict):
            function = call.get("function")
            asked = function if isinstance(function, dict) else call
            parts.append(
                {
                    "type": "tool_call",
                    "id": call.get("id"),
                    "name": asked.get("name"),
                    "arguments": asked.get("arguments"),
                }
            )
    message: dict[str, Any] = {"role": said.get("role") or role, "parts": parts}
    return message


def _text(messages: list[Any]) -> str:
    return json.dumps(messages, ensure_ascii=False) if messages else ""


@cache
def _sql() -> str:
    folder = resources.files("tachograph_schemas").joinpath("queries")
    return folder.joinpath("span_logs.sql").read_text(encoding="utf-8")
