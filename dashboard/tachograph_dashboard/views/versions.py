"""What the pages draw of new versions, each compared with the one before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from tachograph_dashboard.views import times
from tachograph_schemas import words
from tachograph_schemas.drift import sentences

_VERDICTS = {
    "changed": ("Changed", "bad"),
    "no change seen": ("No change seen", "good"),
    "not enough runs": ("Too few runs", "waiting"),
}


def cards(rows: Sequence[Mapping[str, Any]], selected: str, now: datetime) -> dict[str, Any]:
    """The list of new versions."""
    return {"selected": selected, "rows": [_card(row, now) for row in rows]}


def _card(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    word, tone = _VERDICTS[row["verdict"]]
    return {
        "id": row["id"],
        "action": _title(row),
        "state": word,
        "tone": tone,
        "risk": "",
        "risk_tone": "plain",
        "when": words.ago(_moment(row["since_ns"]), now),
        "notes": words.excerpt(row["agent"], 40),
    }


def detail(row: Mapping[str, Any], where: tzinfo, now: datetime) -> dict[str, Any]:
    """One comparison, whole, for the component that draws alarms."""
    word, tone = _VERDICTS[row["verdict"]]
    facts = (
        ("Agent", words.excerpt(row["agent"], 80), ""),
        ("Before", f"{row['runs_before']:,} runs", words.excerpt(row["baseline"], 120)),
        ("New", f"{row['runs_after']:,} runs", words.excerpt(row["candidate"], 120)),
        ("Since", times.short(_moment(row["since_ns"]), where, now), ""),
        ("Compared", "Done" if row["is_over"] else "Going on", ""),
    )
    findings = sorted(row["findings"], key=lambda each: (not each["changed"], not each["excluded"]))
    return {
        "title": _title(row),
        "state": [{"word": word, "tone": tone}],
        "facts": [{"label": label, "value": value, "note": note} for label, value, note in facts],
        "says": [words.plain(row["says"]), sentences.GUARD_PROMISE],
        "charts": [],
        "where": [_finding(each) for each in findings if each["effect"]],
        "where_label": "What was compared",
        "checked": [],
        "examples": [],
    }


def _finding(found: Mapping[str, Any]) -> dict[str, Any]:
    if found["changed"]:
        said = f"changed, seen after {words.count(found['at_run'], 'run')}"
    else:
        said = f"{found['excluded']} can be excluded" if found["excluded"] else "no change seen"
    return {
        "name": words.excerpt(sentences.headline(found), 120),
        "size": sentences.size(found["effect"], found["unit"]),
        "runs": said,
    }


def sentence(row: Mapping[str, Any]) -> str:
    """A comparison in a line, for the page of the agent."""
    return words.plain(f"{_title(row)}: {row['says']}")


def _title(row: Mapping[str, Any]) -> str:
    before, after = sentences.versions_apart(row["baseline"], row["candidate"])
    return words.plain(words.excerpt(f"{before} → {after}", 200))


def _moment(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / 1e9, UTC)
