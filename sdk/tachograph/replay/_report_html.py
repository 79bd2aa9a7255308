"""The report of a replay as one HTML file: nothing is fetched, nothing is run, and everything recorded is escaped."""

from __future__ import annotations

from html import escape
from importlib import resources
from typing import Any

from tachograph.replay._code_diff import CodeChange
from tachograph.replay._divergence import Change, Divergence
from tachograph.replay._report import Report, Step, json_text
from tachograph_schemas.text_diff import pieces

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_TAGS = {"=": "span", "-": "del", "+": "ins"}
_MOST_CHARS = 20_000
"""Of one value; what is longer is cut, and says so."""
_AROUND_STEPS = 200
"""Recorded steps that are listed on either side of the difference."""


def page(report: Report) -> str:
    """The whole document."""
    found = report.divergence
    title = f"Replay of {report.agent or 'a run'}"
    parts = [_head(report, title), *(f"<p>{escape(note)}</p>" for note in report.notes)]
    if found is not None:
        parts += [_changes(report, found), _code(report.code)]
        if report.drifts:
            parts += ["<h2>What else differs</h2>", *(_drift(drift) for drift in report.drifts)]
        if report.fork:
            parts.append(f"<h2>Go on live from here</h2><pre>{escape(report.fork)}</pre>")
    parts.append(_steps(report.steps, found.step if found else 0))
    style = resources.files("tachograph.replay").joinpath("report.css").read_text("utf-8")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _head(report: Report, title: str) -> str:
    found = report.divergence
    facts = [("Run", report.run_id), ("Answered from the recording", f"{report.effects:,} effects")]
    if found is None:
        verdict = '<span class="verdict good">Identical</span>'
        said = "The agent does what it did. Nothing happened live."
    else:
        verdict = f'<span class="verdict bad">{escape(found.kind.replace("_", " ").lower())}</span>'
        said = found.message
        where = f"{found.step} of {len(report.steps)}" if found.step else "the run as a whole"
        facts.append(("Step", where))
        facts += [("Line", found.where)] if found.where else []
        facts += [("Task", found.path)] if found.path else []
    shown = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in facts
    )
    return (
        f"<header>{verdict}<h1>{escape(title)}</h1><p>{escape(said)}</p><dl>{shown}</dl></header>"
    )


def _changes(report: Report, found: Divergence) -> str:
    if report.changes:
        return f"<h2>What is different</h2>{''.join(map(_change, report.changes))}"
    sides = [
        f'<div><p class="mute">{label}</p><pre>{_json(side)}</pre></div>'
        for label, side in (("Recorded", found.expected), ("Now", found.actual))
        if side is not None
    ]
    return f'<h2>What is different</h2><div class="sides">{"".join(sides)}</div>' if sides else ""


def _change(change: Change) -> str:
    old, new = change.old, change.new
    if change.sign == "~" and isinstance(old, str) and isinstance(new, str):
        inner = "".join(
            f"<{_TAGS[mark]}>{escape(text)}</{_TAGS[mark]}>"
            for mark, text in pieces(old[:_MOST_CHARS], new[:_MOST_CHARS])
        )
    else:
        inner = "" if change.sign == "+" else f"<del>{_json(old)}</del>"
        inner += "\n" if change.sign == "~" else ""
        inner += "" if change.sign == "-" else f"<ins>{_json(new)}</ins>"
    path = f'<div class="path mono">{escape(change.path)}</div>'
    return f'<div class="change">{path}<div class="value mono">{inner}</div></div>'


def _drift(drift: Divergence) -> str:
    where = f"Step {drift.step}: " if drift.step else ""
    lines = escape("\n".join(drift.changes))
    return f"<p>{escape(where + drift.message)}</p>" + (f"<pre>{lines}</pre>" if lines else "")


def _code(changes: list[CodeChange]) -> str:
    if not changes:
        return ""
    parts = ["<h2>Code that changed since the recording</h2>"]
    for change in changes:
        note = f' <span class="mute">({escape(change.note)})</span>' if change.note else ""
        parts.append(f'<p class="mono">{escape(change.file)}{note}</p>')
        if change.lines:
            parts.append(f"<pre>{chr(10).join(map(_code_line, change.lines))}</pre>")
    return "".join(parts)


def _code_line(line: str) -> str:
    kind = {"+": "plus", "-": "minus", "@": "place"}.get(line[:1])
    return f'<span class="{kind}">{escape(line)}</span>' if kind else escape(line)


def _steps(steps: list[Step], here: int) -> str:
    """The recorded steps around the difference."""
    first = max(here - _AROUND_STEPS, 1)
    rows = []
    for step in steps[first - 1 : (here or 1) + _AROUND_STEPS]:
        kind = "here" if step.number == here else "after" if here and step.number > here else ""
        cells = (f"{step.number}", step.name, step.arguments)
        row = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        rows.append(f'<tr class="{kind}">{row}</tr>')
    if not rows:
        return ""
    left = len(steps) - len(rows)
    more = f'<p class="mute">{left:,} steps are not listed.</p>' if left else ""
    return f'<h2>Recorded steps</h2><table class="mono">{"".join(rows)}</table>{more}'


def _json(tree: Any) -> str:
    said = json_text(tree)
    cut = f"{said[:_MOST_CHARS]}…" if len(said) > _MOST_CHARS else said
    return escape(cut)
