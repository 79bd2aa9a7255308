"""What a run's page says of driving it again: whether it is recorded, the commands, and what was done so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tachograph_schemas import words
from tachograph_schemas.recordings import RecordingState
from tachograph_schemas.rows import RunRow

_TEXT_CHARS = 300
_VERBS = {"replay": "Replay", "fork": "Fork", "resume": "Resumption"}
_UNRECORDED = (
    "This run was not recorded for replay. Runs under `@tacho.run` are, unless `TACHO_RECORD` is `off` or"
    " payloads are kept out of spans."
)
_LIMITS = {
    "light": "Recorded in light mode, which keeps digests only: it cannot be replayed.",
    "cut": "Recorded in part, as it was too large: it cannot be replayed.",
}


def state(row: RunRow, recording: RecordingState | None) -> tuple[str, bool]:
    """What is known of the recording in a sentence, and whether it can be replayed."""
    if recording is None and row.outcome == "running":
        return "The recording of a run arrives when it has ended.", False
    if recording is None:
        return _UNRECORDED, False
    size = f"{recording.tape_bytes / 1024:,.0f} KB" if recording.tape_bytes > 1024 else "1 KB"
    effects = words.count(recording.effects, "effect")
    if recording.limits:
        return f"{_LIMITS[recording.limits]} ({effects}, {size})", False
    if not recording.outcome:
        return f"Recorded up to where it was killed: {effects}, {size}. It can be resumed.", False
    return f"Recorded for replay: {effects}, {size}.", True


def commands(row: RunRow, recording: RecordingState) -> str:
    """What to type where the program is; empty when nothing can be done with it."""
    if recording.limits:
        return ""
    if not recording.outcome:
        return f"tacho resume {row.run_id}"
    lines = [f"tacho replay {row.run_id}", f"tacho test {row.run_id} -o tests/"]
    if recording.effects:
        lines.insert(1, f"tacho fork {row.run_id} --at {recording.effects}")
    return "\n".join(lines)


def listed(run_id: str, rows: Sequence[Mapping[str, Any]], now: datetime) -> dict[str, Any]:
    """The list of replays and forks."""
    return {"rows": [_row(run_id, row, now) for row in rows]}


def _row(run_id: str, row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    tone, said = _said(row)
    child = row["child_run_id"] or ""
    is_child = child == run_id
    other = row["run_id"] if is_child else child
    at_ns = row["ended_ns"] or row["created_ns"]
    moment = datetime.fromtimestamp(at_ns / 1e9, now.tzinfo)
    return {
        "tone": tone,
        "title": _title(row, is_child),
        "text": words.excerpt(said, _TEXT_CHARS),
        "when": f"{words.ago(moment, now)}, {words.excerpt(str(row['actor']), 40)}",
        "other": other,
        "compare": [row["run_id"], child] if child else None,
    }


def _title(row: Mapping[str, Any], is_child: bool) -> str:
    options = row["options"]
    verb = _VERBS.get(row["kind"], row["kind"])
    parts = [f"from step {options['at']}"] if options.get("at") else []
    parts += [f"with {options['model']}"] if options.get("model") else []
    edited = [str(place).partition(".")[0] for place in options.get("set") or []]
    parts += [f"with another result of step {', '.join(edited)}"] if edited else []
    title = " ".join([f"This run is a {verb.lower()}" if is_child else verb, *parts])
    return words.excerpt(title, _TEXT_CHARS)


def _said(row: Mapping[str, Any]) -> tuple[str, str]:
    if row["status"] == "asked":
        return "waiting", "Waits for a worker: start tacho worker where the code is."
    if row["status"] == "taken":
        return "live", f"{row['worker']} is at it."
    result = row["result"] or {}
    if result.get("problem"):
        return "warn", str(result["problem"])
    if row["kind"] != "replay":
        ok = result.get("outcome") == "ok"
        return ("good", "Ended well.") if ok else ("bad", str(result.get("error") or "It failed."))
    found = result.get("divergence")
    if not found:
        return "good", f"Identical: {words.count(int(result.get('effects') or 0), 'effect')}."
    step = f" in step {found['step']}" if found.get("step") else ""
    where = f" ({found['where']})" if found.get("where") else ""
    return "bad", f"{found.get('kind')}{step}: {found.get('message')}{where}"
