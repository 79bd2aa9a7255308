"""What the page of drift draws: the list of alarms and agents, an alarm whole, and how an agent is watched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from tachograph_dashboard.navigation import link
from tachograph_dashboard.views import times
from tachograph_schemas import words
from tachograph_schemas.drift import sentences

_SEVERITY_TONES = {"large": "bad", "medium": "warn", "small": "plain"}
_STATES = {
    "alarm": ("Alarm", "bad"),
    "watching": ("Watching", "good"),
    "young": ("Still learning", "waiting"),
    "learning": ("Learning", "waiting"),
}
_NAME_CHARS = 80


def alarms(rows: Sequence[Mapping[str, Any]], selected: str, now: datetime) -> dict[str, Any]:
    """The list of alarms."""
    return {"selected": selected, "rows": [_alarm_card(row, now) for row in rows]}


def _alarm_card(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    ended = row["state"] != "open"
    return {
        "id": row["id"],
        "action": _headline(row, 160),
        "state": "Acknowledged" if ended else "",
        "tone": "plain",
        "risk": row["severity"],
        "risk_tone": _SEVERITY_TONES[row["severity"]],
        "when": f"since {words.ago(_moment(row['since_ns']), now)}",
        "notes": words.excerpt(row["agent"], 40),
    }


def agents(rows: Sequence[Mapping[str, Any]], selected: str) -> dict[str, Any]:
    """The list of agents."""
    return {"selected": selected, "rows": [_agent_card(row) for row in rows]}


def _agent_card(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = row["baseline"]
    state = "alarm" if row["state"] == "alarm" else _stage(kept)
    word, tone = _STATES[state]
    return {
        "id": row["agent"],
        "action": words.excerpt(row["agent"], _NAME_CHARS),
        "state": word,
        "tone": tone,
        "risk": "",
        "risk_tone": "plain",
        "when": words.count(row["runs"], "run"),
        "notes": "",
    }


def _stage(kept: Mapping[str, Any] | None) -> str:
    if kept is None:
        return "learning"
    return "watching" if kept["is_full"] else "young"


def alarm(found: Mapping[str, Any], where: tzinfo, now: datetime) -> dict[str, Any]:
    """One alarm, whole."""
    is_open = found["state"] == "open"
    state = [{"word": "Open" if is_open else "Acknowledged", "tone": "bad" if is_open else "plain"}]
    tone = _SEVERITY_TONES[found["severity"]]
    state.append({"word": f"{found['severity']} change", "tone": tone})
    unit, effect = found["unit"], found["effect"]
    facts = [
        _fact("Agent", words.excerpt(found["agent"], _NAME_CHARS)) | _agent_link(found),
        _fact("How much", sentences.size(effect, unit), "95 % interval"),
        _fact("Since", times.short(_moment(found["since_ns"]), where, now), "estimated"),
        _fact("Runs since", f"{found['runs_since']:,}"),
        _fact("Raised", times.short(_moment(found["raised_ns"]), where, now)),
    ]
    if found["times"] > 1:
        facts.append(_fact("Seen again", words.times(found["times"] - 1)))
    if not is_open:
        facts.append(_fact("Acknowledged by", words.excerpt(found["ended_by"], _NAME_CHARS)))
    says = [sentences.how_sure(found)]
    if found["note"]:
        says.append(words.excerpt(found["note"], 300))
    return {
        "title": _headline(found, 200),
        "state": state,
        "facts": facts,
        "says": says,
        "charts": [_chart(found, found["picture"], "bad", where, now)],
        "where": [
            {
                "name": words.excerpt(part["name"], 60),
                "size": sentences.size(part["effect"], unit),
                "runs": words.count(part["runs"], "run"),
            }
            for part in found["where"]
        ],
        "checked": [words.excerpt(each, 300) for each in found["checked"]],
        "examples": [
            _examples("Runs that show it", found["after"], unit, where, now),
            _examples("Runs of the baseline", found["before"], unit, where, now),
        ],
    }


def agent(found: Mapping[str, Any], where: tzinfo, now: datetime) -> dict[str, Any]:
    """How an agent is watched."""
    kept = found["baseline"]
    word, tone = _STATES["alarm" if found["state"] == "alarm" else _stage(kept)]
    facts = [_fact("Agent", "Its figures") | _agent_link(found)]
    facts.append(_fact("Runs looked at", f"{found['runs']:,}"))
    if kept:
        since, until = (
            times.short(_moment(kept[name]), where, now) for name in ("since_ns", "until_ns")
        )
        within = {"task": "by task", "hours": "by part of the week", "none": "all runs together"}
        facts += [
            _fact("Baseline", f"{kept['runs']:,} runs", f"version {kept['version']}"),
            _fact("From", since, f"to {until}"),
            _fact("Compared", within[kept["split"]]),
        ]
    first = {"alarm": 0, "watching": 1}
    rows = sorted(found["metrics"], key=lambda row: (first.get(row["state"], 2), -row["suspicion"]))
    return {
        "title": words.excerpt(found["agent"], 200),
        "state": [{"word": word, "tone": tone}],
        "facts": facts,
        "says": [found["says"], *_quiet(rows if kept else [])],
        "charts": [
            _chart(
                row,
                row["picture"],
                "bad" if row["state"] == "alarm" else "plain",
                where,
                now,
            )
            for row in rows
            if row.get("picture")
        ],
        "where": [],
        "checked": [],
        "examples": [],
    }


def _chart(
    row: Mapping[str, Any], picture: Mapping[str, Any], tone: str, where: tzinfo, now: datetime
) -> dict[str, Any]:
    unit, title = row["unit"], words.excerpt(row["title"], 60)
    slices = picture["slices"]
    usual = sentences.amount(picture["usual"], unit)
    category = row.get("category") or picture["category"]
    if category not in {"", "yes"}:
        title = f"{title}: {words.excerpt(category, 40)}"
    last = sentences.amount(slices[-1][1], unit)
    began = picture["began"]
    note = f"usually {usual}"
    if began is not None:
        note += f", changed {times.short(_moment(row['since_ns']), where, now)}"
    return {
        "title": title,
        "now": last,
        "note": note,
        "slices": [value for _, value, _ in slices],
        "low": picture["low"],
        "usual": picture["usual"],
        "high": picture["high"],
        "began": began,
        "from": times.short(_moment(slices[0][0]), where, now),
        "until": times.short(_moment(slices[-1][0]), where, now),
        "describe": f"{title}: usually {usual}, now {last}",
        "suspicion": row.get("suspicion", 0),
        "tone": tone,
    }


def _quiet(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is not watched, in a sentence: it must not look as if it were well."""
    titles = [row["title"][0].lower() + row["title"][1:] for row in rows if not row.get("picture")]
    return [f"Not watched, because too few runs have it: {', '.join(titles)}."] if titles else []


def _headline(row: Mapping[str, Any], chars: int) -> str:
    # A number and its sign stay on one line.
    return words.excerpt(sentences.headline(row), chars).replace(" %", "\u00a0%")


def _fact(label: str, value: str, note: str = "") -> dict[str, Any]:
    return {"label": label, "value": value, "note": note}


def _agent_link(found: Mapping[str, Any]) -> dict[str, Any]:
    """Everything else that is known of the agent is on its own page."""
    return {"link": link("agents", name=found["agent"], window="all")}


def _examples(
    label: str, runs: Sequence[Mapping[str, Any]], unit: str, where: tzinfo, now: datetime
) -> dict[str, Any]:
    shown = []
    for run in runs:
        at = times.short(_moment(run["started_ns"]), where, now)
        value = "" if run["value"] is None else sentences.amount(run["value"], unit)
        shown.append({"id": run["run_id"], "label": at, "value": value})
    return {"label": label, "runs": shown}


def _moment(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / 1e9, UTC)
