"""The head of a run: title, verdict, facts, warnings."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

from tachograph_dashboard.navigation import link
from tachograph_dashboard.views import times
from tachograph_dashboard.views.runs import cost, cost_note
from tachograph_schemas import words
from tachograph_schemas.account.model import Account
from tachograph_schemas.rows import RunRow

_TITLE_CHARS = 300
_VALUE_CHARS = 60
_NOTE_CHARS = 60
_SIGN_CHARS = 200
_MOST_SIGNS = 4


def header(
    row: RunRow, account: Account, where: tzinfo, now: datetime, download: str
) -> dict[str, Any]:
    """What the head of the page draws; ``download`` is the link to the whole run."""
    return {
        "title": words.excerpt(account.title or row.title, _TITLE_CHARS) or "Unnamed run",
        "run": row.run_id,
        "outcome": row.outcome,
        "verdict": words.plain(account.verdict),
        "tone": account.tone,
        "facts": [*_who(row), *_when(row, where, now), *_what(row)],
        "download": download,
        "warnings": [words.plain(text) for text in account.warnings],
        "signs": [
            {"text": words.excerpt(sign.line.text, _SIGN_CHARS), "span": sign.line.span_id}
            for sign in account.signs[:_MOST_SIGNS]
        ],
    }


def _who(row: RunRow) -> list[dict[str, Any]]:
    facts = []
    if row.agent or row.service:
        name = row.agent or row.service
        facts.append(_fact("Agent", name, row.version or row.code_version[:12]))
        facts[-1]["link"] = link("agents", name=row.agent) if row.agent else None
    if row.customer:
        facts.append(_fact("Customer", row.customer) | {"link": link("", customer=row.customer)})
    if row.user_id:
        facts.append(_fact("User", row.user_id))
    if row.session_id:
        facts.append(_fact("Session", row.session_id) | {"link": link("", session=row.session_id)})
    if row.tags:
        facts.append(_fact("Tags", ", ".join(row.tags)))
    return facts


def _when(row: RunRow, where: tzinfo, now: datetime) -> list[dict[str, Any]]:
    facts = [
        _fact("Started", times.whole(row.started_at, where), words.ago(row.started_at, now)),
        _fact(
            "Running for" if row.outcome == "running" else "Took", words.duration(row.duration_ns)
        ),
    ]
    if row.waiting_ns:
        facts.append(_fact("Waiting for people", words.duration(row.waiting_ns)))
    return facts


def _what(row: RunRow) -> list[dict[str, Any]]:
    facts = [
        _fact("Model calls", f"{row.model_calls:,}", ", ".join(row.models[:2])),
        _fact("Tool calls", f"{row.tool_calls:,}"),
    ]
    if row.total_tokens is not None:
        facts.append(_fact("Tokens", words.tokens(row.total_tokens), _classes(row)))
    elif row.model_calls:
        facts.append(_fact("Tokens", "not reported"))
    if row.model_calls or row.cost_usd is not None:
        facts.append(_fact("Cost", cost(row).rstrip("+"), cost_note(row)))
    beside = (
        ("Tools", row.tool_cost_usd, "beside the model"),
        ("People", row.human_cost_usd, "their time"),
        ("Saved", row.saved_usd, "answers from a cache"),
    )
    facts += [_fact(what, words.usd(usd), note) for what, usd, note in beside if usd is not None]
    if row.error_count:
        facts.append(_fact("Errors", f"{row.error_count:,}", tone="bad"))
    made = row.spans_made
    if made is None or made == row.span_count:
        facts.append(_fact("Spans", f"{row.span_count:,}"))
    else:
        facts.append(_fact("Spans stored", f"{row.span_count:,} of {made:,}", tone="warn"))
    return facts


def _classes(row: RunRow) -> str:
    classes = (
        ("in", row.input_tokens),
        ("cached", row.cache_read_tokens),
        ("to cache", row.cache_write_tokens),
        ("out", row.output_tokens),
    )
    return ", ".join(f"{number:,} {name}" for name, number in classes if number)


def _fact(label: str, value: str, note: str = "", *, tone: str = "") -> dict[str, Any]:
    return {
        "label": label,
        "value": words.excerpt(value, _VALUE_CHARS),
        "note": words.excerpt(note, _NOTE_CHARS),
        "tone": tone,
    }
