"""What the page that compares two runs draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import tzinfo
from typing import Any

from tachograph_dashboard.icons import OUTCOME_WORDS
from tachograph_dashboard.views import times
from tachograph_dashboard.views.runs import cost, title
from tachograph_schemas import words
from tachograph_schemas.account import payload
from tachograph_schemas.compare import Comparison, Pair, Step
from tachograph_schemas.rows import RunRow
from tachograph_schemas.text_diff import excerpted, pieces

_NAME_CHARS = 80
_TITLE_CHARS = 120
_GIST_CHARS = 140
_VALUE_CHARS = 6_000
_DIFFED_PAIRS = 400
"""Lines whose payloads are sent along; a page with more differences than that is not read line by line."""
_WORD_OF: dict[str, str] = {str(outcome): word for outcome, word in OUTCOME_WORDS.items()}
_WORDS = {
    "same": "same",
    "changed": "other arguments",
    "result": "other result",
    "only_a": "only in A",
    "only_b": "only in B",
}


def comparison(
    a: RunRow, b: RunRow, found: Comparison, where: tzinfo, relation: str = ""
) -> dict[str, Any]:
    """The two heads, what differs in figures, and the lines."""
    return {
        "a": _head(a, where),
        "b": _head(b, where),
        "relation": relation,
        "facts": facts(a, b),
        "verdict": verdict(found),
        "same": found.first is None,
        "lines": list(_lines(found)),
    }


def verdict(found: Comparison) -> str:
    """Where they part, in a sentence."""
    cut = " Only the first steps of these long runs are compared." if found.cut else ""
    if found.first is None:
        return f"All {len(found.pairs):,} steps are the same.{cut}"
    different = sum(pair.state != "same" for pair in found.pairs)
    step = found.pairs[found.first].a or found.pairs[found.first].b
    name = _name(step) if step else ""
    return (
        f"The first {words.count(found.first, 'step')} are the same, then they part at {name}; "
        f"{different:,} of {len(found.pairs):,} differ.{cut}"
        if found.first
        else f"They part at the first step, {name}; {different:,} of {len(found.pairs):,} differ.{cut}"
    )


def _head(row: RunRow, where: tzinfo) -> dict[str, Any]:
    return {
        "id": row.run_id,
        "title": words.excerpt(title(row), _TITLE_CHARS),
        "outcome": row.outcome,
        "agent": words.excerpt(row.agent or row.service, _NAME_CHARS),
        "started": times.whole(row.started_at, where),
    }


def facts(a: RunRow, b: RunRow) -> list[dict[str, Any]]:
    """Outcome, result and figures of both, with the difference where there is one."""
    return [
        _fact("Outcome", *(_WORD_OF.get(row.outcome, row.outcome) for row in (a, b))),
        _number("Took", a.duration_ns, b.duration_ns, words.duration),
        _number("Tokens", a.total_tokens, b.total_tokens, words.tokens),
        _number("Cost", a.cost_usd, b.cost_usd, lambda _: "", shown=(cost(a), cost(b))),
        _fact("Model calls", _grouped(a.model_calls), _grouped(b.model_calls)),
        _fact("Tool calls", _grouped(a.tool_calls), _grouped(b.tool_calls)),
        _number("Errors", a.error_count, b.error_count, _grouped),
        _fact("Model", ", ".join(a.models[:2]), ", ".join(b.models[:2])),
        _fact("Code", a.code_version, b.code_version),
    ]


def _grouped(number: float) -> str:
    return f"{number:,.0f}"


def _fact(label: str, a: str, b: str, change: str = "", tone: str = "") -> dict[str, Any]:
    return {
        "label": label,
        "a": words.excerpt(a, _NAME_CHARS) or words.UNKNOWN,
        "b": words.excerpt(b, _NAME_CHARS) or words.UNKNOWN,
        "differs": a != b,
        "change": change,
        "tone": tone,
    }


def _number(
    label: str,
    a: float | None,
    b: float | None,
    said: Callable[[Any], str],
    *,
    shown: tuple[str, str] | None = None,
) -> dict[str, Any]:
    text = shown or tuple(words.UNKNOWN if each is None else said(each) for each in (a, b))
    if a is None or b is None or a == b:
        return _fact(label, text[0], text[1])
    change = f"{100 * (b - a) / a:+.0f} %".replace("-", "\u2212") if a else ""
    # Less of any of these is better; a few percent are noise and stay without a colour.
    clear = not a or abs(b - a) / a >= 0.05
    tone = ("good" if b < a else "bad") if clear else ""
    return _fact(label, text[0], text[1], change, tone)


def _lines(found: Comparison) -> Iterator[dict[str, Any]]:
    diffed = 0
    for at, pair in enumerate(found.pairs):
        line: dict[str, Any] = {
            "state": pair.state,
            "word": _WORDS[pair.state],
            "first": at == found.first,
            "a": _cell(pair.a),
            "b": _cell(pair.b),
        }
        if pair.state != "same" and diffed < _DIFFED_PAIRS:
            diffed += 1
            line["parts"] = _parts(pair)
        yield line


def _cell(step: Step | None) -> dict[str, Any] | None:
    if step is None:
        return None
    span = step.span
    tokens = [span.input_tokens, span.output_tokens]
    known = sum(each for each in tokens if each is not None)
    notes = [words.duration(span.duration_ns)]
    if any(each is not None for each in tokens):
        notes.append(f"{words.tokens(known)} tokens")
    if span.cost_usd is not None:
        notes.append(words.usd(span.cost_usd))
    return {
        "span": span.span_id,
        "layer": span.layer,
        "name": _name(step),
        "depth": min(step.depth, 8),
        "gist": words.excerpt(_gist(span.input_text), _GIST_CHARS),
        "notes": " · ".join(notes),
        "bad": span.status == "error",
    }


def _name(step: Step) -> str:
    return words.excerpt(step.span.tool or step.span.name, _NAME_CHARS)


def _gist(text: str) -> str:
    asked = [message.text for message in payload.messages(text)]
    return asked[-1] if asked and asked[-1] else text


def _parts(pair: Pair) -> list[dict[str, Any]]:
    """Arguments and result, each as one text of what stayed, went and came, or as what there is."""
    parts = []
    for label, texts in (
        ("Arguments", [step.span.input_text if step else None for step in (pair.a, pair.b)]),
        ("Result", [step.span.output_text if step else None for step in (pair.a, pair.b)]),
        ("Error", [step.span.status_message if step else None for step in (pair.a, pair.b)]),
    ):
        old, new = (None if text is None else text[:_VALUE_CHARS] for text in texts)
        if not old and not new:
            continue
        parts.append({"label": label, "pieces": _pieces(old, new)})
    return parts


def _pieces(old: str | None, new: str | None) -> Sequence[tuple[str, str]]:
    if old is None or new is None:
        return [("=", words.plain(old or new or "", newlines=True))]
    safe = [words.plain(text, newlines=True) for text in (old, new)]
    return excerpted(pieces(*safe), around_chars=120)
