"""The report of a replay: what differs, where, why probably, and how to go on from there.

:func:`explain` gathers it from the answer of a replay's process and the recording; the terminal, pytest and
:mod:`._report_html` show it.
"""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tachograph.replay._code_diff import CodeChange, code_changes
from tachograph.replay._divergence import Change, Divergence, differences, shown
from tachograph.replay._recording import RecordedCall, Recording
from tachograph.replay._surroundings import notes
from tachograph_schemas import words
from tachograph_schemas.text_diff import marked

_BEFORE = 5
_LONG_CHARS = 60
"""Texts longer than that are compared word by word."""
_SHOWN_CHANGES = 20


@dataclass(frozen=True, slots=True)
class Step:
    """One recorded effect, for showing."""

    number: int
    name: str
    kind: str
    path: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that is said of one replay."""

    run_id: str
    agent: str
    identical: bool
    effects: int
    steps: list[Step]
    """The recorded effects in their order."""
    output: Any = None
    divergence: Divergence | None = None
    changes: list[Change] = field(default_factory=list)
    """Of the first difference, place by place."""
    drifts: list[Divergence] = field(default_factory=list)
    """What else differs, when the replay was lenient."""
    code: list[CodeChange] = field(default_factory=list)
    fork: str = ""
    """The command that goes on live from the first difference; empty when no step is to blame."""
    notes: list[str] = field(default_factory=list)
    """What is another one around the replay than around the recording."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the answer of the replay, and what was found out on top."""
        found = self.divergence
        return {
            "run_id": self.run_id,
            "identical": self.identical,
            "effects": self.effects,
            "steps": len(self.steps),
            "output": self.output,
            "divergence": None if found is None else found.as_dict(),
            "drifts": [drift.as_dict() for drift in self.drifts],
            "code": [{"file": c.file, "diff": c.lines, "note": c.note} for c in self.code],
            "fork": self.fork or None,
            "notes": self.notes,
        }


def explain(answer: dict[str, Any], recording: Recording, source: str, root: Path) -> Report:
    """The report of an answer of :func:`tachograph.replay._process.replayed`.

    Args:
        answer: What the process said.
        recording: What was replayed.
        source: The run as the user names it: an id or a file.
        root: The program's folder.
    """
    said = answer["divergence"]
    found = None if said is None else Divergence(**said)
    changes = [] if found is None else _changes(found)
    code = []
    if found is not None:
        facts = recording.code
        code = code_changes(
            found.code_changes, facts.get("files") or {}, str(facts.get("commit") or ""), root
        )
    return Report(
        answer["run_id"],
        str(recording.run.get("agent", "")),
        answer["identical"],
        answer["effects"],
        [_step(call) for call in recording.calls],
        answer["output"],
        found,
        changes,
        [Divergence(**drift) for drift in answer.get("drifts") or []],
        code,
        _live_command(found, recording, source, root),
        notes(recording, found),
    )


def _changes(found: Divergence) -> list[Change]:
    expected, actual = found.expected, found.actual
    if found.kind == "ARGS_CHANGED":
        return differences(expected["arguments"], actual["arguments"])
    if found.kind in {"RESULT_CHANGED", "EXCEPTION_CHANGED"} and found.changes:
        return differences(expected, actual)
    return []


def _step(call: RecordedCall) -> Step:
    arguments = "withheld" if call.withheld else shown(call.args)
    return Step(call.step, call.name, call.kind, call.path, arguments)


def _live_command(found: Divergence | None, recording: Recording, source: str, root: Path) -> str:
    if found is None:
        return ""
    where = [] if root.resolve() == Path.cwd() else ["--code", str(root)]
    if not recording.end and (found.step or sys.maxsize) >= len(recording.calls):
        # It was killed, and has been followed to where that was.
        return shlex.join(["tacho", "resume", source, *where])
    if not found.step:
        return ""
    return shlex.join(["tacho", "fork", source, "--at", str(found.step), *where])


def text(report: Report) -> str:
    """For a terminal, without colours; the first line says kind and place."""
    found = report.divergence
    if found is None:
        answered = words.count(report.effects, "effect")
        said = f"Identical: {answered} answered from the recording, nothing live."
        return "\n".join((said, *_told_notes(report)))
    at = f" at {found.path}" if found.path else ""
    of = f"step {found.step} of {len(report.steps)}" if found.step else "the run"
    lines = [f"{found.kind} in {of}{at}: {found.message}"]
    if found.where:
        lines.append(f"  now: {found.where}")
    lines += _told_changes(report, found)
    lines += _told_calls(report, found)
    lines += _told_code(report)
    lines += _told_notes(report)
    if report.drifts:
        lines.append(f"And {len(report.drifts)} more, which may follow from it:")
        lines += [f"  {drift.text().replace(chr(10), f'{chr(10)}  ')}" for drift in report.drifts]
    if report.fork:
        lines.append(f"Go on live from here: {report.fork}")
    return "\n".join(lines)


def _told_notes(report: Report) -> list[str]:
    return [f"  note: {note}" for note in report.notes]


def told(change: Change) -> str:
    """One change as lines of text: long texts word by word."""
    old, new = change.old, change.new
    texts = change.sign == "~" and isinstance(old, str) and isinstance(new, str)
    if texts and max(len(old), len(new)) > _LONG_CHARS:
        words = marked(old, new).replace("\n", "\n      ")
        return f"~ {change.path}:\n      {words}"
    return change.text()


def _told_changes(report: Report, found: Divergence) -> list[str]:
    if not report.changes:
        return [f"  {line}" for line in found.changes]
    lines = [f"  {told(change)}" for change in report.changes[:_SHOWN_CHANGES]]
    left = len(report.changes) - _SHOWN_CHANGES
    return [*lines, f"  ... and {left} more"] if left > 0 else lines


def _told_calls(report: Report, found: Divergence) -> list[str]:
    """Which call was recorded and which is made, when it is not one with other arguments."""
    if report.changes or not found.step:
        return []
    lines = []
    for label, side in (("recorded", found.expected), ("now", found.actual)):
        if isinstance(side, dict) and side.keys() == {"name", "arguments"}:
            lines.append(f"  {label}: {side['name']} {shown(side['arguments'])}")
    before = [step for step in report.steps if step.number < found.step][-_BEFORE:]
    lines += [f"  before: {step.number} {step.name} {step.arguments[:100]}" for step in before]
    return lines


def _told_code(report: Report) -> list[str]:
    if not report.code:
        return []
    names = ", ".join(change.file for change in report.code)
    lines = [f"  changed since the recording: {names}"]
    for change in report.code:
        lines += [f"    {line}" for line in change.lines[:30]]
        if change.note:
            lines.append(f"    {change.file}: {change.note}")
    return lines


def json_text(tree: Any) -> str:
    """A tree over several lines."""
    return json.dumps(tree, indent=2, ensure_ascii=False)
