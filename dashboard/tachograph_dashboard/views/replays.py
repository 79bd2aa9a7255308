"""What a run's page says of driving it again: whether it is recorded, the commands, and what was done so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tachograph_schemas import words
from tachograph_schemas.control import REPLAY_LEASE_S
from tachograph_schemas.recordings import RecordingState
from tachograph_schemas.rows import RunRow

_TEXT_CHARS = 300
_VERBS = {"replay": "Replay", "fork": "Fork", "resume": "Resumption"}
_SWEPT = {
    "identical": "identical",
    "changed": "would change",
    "not_replayable": "cannot be replayed",
}
_ID_CHARS = 12
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
    # The beginning of an id is enough for the command line, and fits a narrow column.
    run = row.run_id[:_ID_CHARS]
    if not recording.outcome:
        return f"tacho resume {run}"
    lines = [f"tacho replay {run}", f"tacho test {run} -o tests/"]
    if recording.effects:
        lines.insert(1, f"tacho fork {run} --at {recording.effects}")
    return "\n".join(lines)


def manner(recording: RecordingState) -> str:
    """What to know before typing them."""
    if not recording.outcome:
        return "Run it in the folder of the program: what is recorded does not happen again, the rest does."
    return "Run them in the folder of the program. `tacho fork` goes on live: models are asked and paid."


def is_open(row: Mapping[str, Any]) -> bool:
    """Whether it is a replay that is asked for, and not done yet."""
    return str(row["kind"]) == "replay" and str(row["status"]) != "done"


def wants_worker(row: Mapping[str, Any], now: datetime) -> bool:
    """Whether somebody has to start a worker for it: nobody has it, or whoever has it is taken for dead."""
    return is_open(row) and (row["status"] == "asked" or _silent_s(row, now) > REPLAY_LEASE_S)


def _silent_s(row: Mapping[str, Any], now: datetime) -> float:
    return now.timestamp() - (row["taken_ns"] or 0) / 1e9


def listed(
    run_id: str, rows: Sequence[Mapping[str, Any]], now: datetime, cost_usd: float | None = None
) -> dict[str, Any]:
    """The list of replays and forks of a run; ``cost_usd`` is what the run cost."""
    return {"rows": [_row(run_id, row, now, cost_usd) for row in rows]}


def swept(rows: Sequence[Mapping[str, Any]], now: datetime) -> dict[str, Any]:
    """The list of sweeps: what each would change, and a run to look at for each kind of change."""
    return {"rows": [line for row in rows for line in (_sweep(row, now), *_groups(row))]}


def _sweep(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    result, options = row["result"] or {}, row["options"]
    count = {name: int(result.get(name) or 0) for name in ("runs", *_SWEPT)}
    of = f" of {options['agent']}" if options.get("agent") else ""
    code = f" with the code of {options['code']}" if options.get("code") else ""
    told = [f"{count[name]:,} {said}" for name, said in _SWEPT.items()]
    all_same = count["identical"] == count["runs"]
    return {
        "tone": "bad" if count["changed"] else "good" if all_same else "warn",
        "title": words.excerpt(
            f"{words.count(count['runs'], 'run')}{of} replayed{code}", _TEXT_CHARS
        ),
        "text": ", ".join(told) + ".",
        "when": _when(row, now),
        "other": "",
        "compare": None,
    }


def _groups(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for group in (row["result"] or {}).get("groups") or []:
        changed = group.get("state") == "changed"
        would = "would change" if changed else "cannot be replayed"
        yield {
            "tone": "bad" if changed else "warn",
            "title": f"{words.count(int(group.get('runs') or 0), 'run')} {would}",
            "text": words.excerpt(str(group.get("said")), _TEXT_CHARS),
            "when": "",
            "other": str(group.get("example") or ""),
            "open": "Open one of them",
            "compare": None,
        }


def _when(row: Mapping[str, Any], now: datetime) -> str:
    moment = datetime.fromtimestamp((row["ended_ns"] or row["created_ns"]) / 1e9, now.tzinfo)
    return f"{words.ago(moment, now)}, {words.excerpt(str(row['actor']), 40)}"


def _row(
    run_id: str, row: Mapping[str, Any], now: datetime, cost_usd: float | None
) -> dict[str, Any]:
    tone, said = _said(row, now)
    if row["kind"] == "replay" and tone == "good" and cost_usd:
        said = f"{said} It cost nothing and saved {words.usd(cost_usd)}."
    child = row["child_run_id"] or ""
    is_child = child == run_id
    other = row["run_id"] if is_child else child
    return {
        "tone": tone,
        "title": _title(row, is_child),
        "text": words.excerpt(said, _TEXT_CHARS),
        "when": _when(row, now),
        "other": other,
        "compare": [row["run_id"], child] if child else None,
    }


def _title(row: Mapping[str, Any], is_child: bool) -> str:
    options = row["options"]
    verb = _VERBS.get(row["kind"], row["kind"])
    parts = [f"from step {options['at']}"] if options.get("at") else []
    parts += [f"with {options['model']}"] if options.get("model") else []
    parts += ["among others, before a deploy"] if options.get("sweep") else []
    places = [str(place) for place in options.get("set") or []]
    edited = [place.partition(".")[0] for place in places if place.endswith(".result")]
    parts += [f"with another result of step {', '.join(edited)}"] if edited else []
    given = [place for place in places if not place.endswith(".result")]
    parts += [f"with another {', '.join(given)}"] if given else []
    title = " ".join([f"This run is a {verb.lower()}" if is_child else verb, *parts])
    return words.excerpt(title, _TEXT_CHARS)


def _said(row: Mapping[str, Any], now: datetime) -> tuple[str, str]:
    if row["status"] == "asked":
        return "waiting", "Waits for a worker: start tacho worker where the code is."
    if row["status"] == "taken" and wants_worker(row, now):
        heard = f"{row['worker']} has it and was not heard of for {words.duration(int(_silent_s(row, now) * 1e9))}"
        return "warn", f"{heard}: start another tacho worker where the code is."
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
