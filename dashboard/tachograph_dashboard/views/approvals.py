"""What the page of approvals draws: the list of requests, and one of them with all that speaks for and against it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from tachograph_dashboard.navigation import link
from tachograph_dashboard.views import times
from tachograph_dashboard.views.runs import cost, cost_note
from tachograph_schemas import words
from tachograph_schemas.rows import RunRow

_ACTION_CHARS = 160
_VALUE_CHARS = 120
_REASON_CHARS = 2_000
_RISK_TONES = {"critical": "bad", "high": "bad", "medium": "warn", "low": "plain", "": "plain"}
_STATES = {
    "pending": ("Waiting", "waiting"),
    "approved": ("Approved", "good"),
    "refused": ("Refused", "bad"),
    "expired": ("Expired", "warn"),
}
_VOUCHED = {"key": "", "link": " (by link)", "self-declared": " (self-declared)"}
_WORDS = {"allow": "approved", "deny": "refused", "escalate": "passed it on"}
# What a reader does not see, or sees elsewhere than it stands: such a letter is written as its number.
_UNSEEN = re.compile(
    "[\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)


def inbox(rows: Sequence[Mapping[str, Any]], selected: str, now: datetime) -> dict[str, Any]:
    """The list of requests."""
    return {"selected": selected, "rows": [_card(row, now) for row in rows]}


def _card(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    word, tone = _STATES[row["status"]]
    waits = row["status"] == "pending"
    since = row["created_ns"] if waits else row["decided_ns"] or row["created_ns"]
    took = words.duration(max(0, now.timestamp() * 1e9 - since))
    notes = [words.excerpt(row["agent"], 40)] if row["agent"] else []
    if row["escalated"] and waits:
        notes.append("passed on")
    if row["approvers_needed"] > 1:
        notes.append(f"{row['approvers_needed']} approvals needed")
    return {
        "id": row["id"],
        "action": words.excerpt(row["action"], _ACTION_CHARS) or "Unnamed action",
        "state": "" if waits else word,
        "tone": tone,
        "risk": row["risk"],
        "risk_tone": _RISK_TONES.get(row["risk"], "plain"),
        "when": f"waiting {took}" if waits else f"{took} ago",
        "notes": " · ".join(notes),
    }


def request(
    found: Mapping[str, Any], row: RunRow | None, where: tzinfo, now: datetime
) -> dict[str, Any]:
    """One request: title, state, facts, what was said so far."""
    word, tone = _STATES[found["status"]]
    waits = found["status"] == "pending"
    return {
        "action": words.plain(found["action"][:4_000]),
        "state": word,
        "tone": tone,
        "risk": found["risk"],
        "risk_tone": _RISK_TONES.get(found["risk"], "plain"),
        "run": found["run_id"],
        "reason": words.plain(found["reason"][:_REASON_CHARS], newlines=True),
        "facts": [
            {"label": label, "value": words.excerpt(value, _VALUE_CHARS), "note": note}
            | ({"link": link("agents", name=value)} if label == "Agent" else {})
            for label, value, note in _facts(found, row, waits, where, now)
            if value
        ],
        "decisions": [
            {
                "who": words.excerpt(said["approver"], 80)
                + _VOUCHED.get(said.get("vouched", ""), ""),
                "what": _WORDS[said["decision"]],
                "when": times.short(_moment(said["at_ns"]), where, now),
                "reason": words.plain(said["reason"][:_REASON_CHARS], newlines=True),
            }
            for said in found["decisions"]
        ],
    }


def _facts(
    found: Mapping[str, Any], row: RunRow | None, waits: bool, where: tzinfo, now: datetime
) -> list[tuple[str, str, str]]:
    created, expires = _moment(found["created_ns"]), _moment(found["expires_ns"])
    left = words.duration(max(0, found["expires_ns"] - now.timestamp() * 1e9))
    needed = found["approvers_needed"]
    given = sum(said["decision"] == "allow" for said in found["decisions"])
    facts = [
        ("Goal of the run", row.goal or row.title if row else "", ""),
        ("Agent", found["agent"], ""),
        ("On behalf of", found["requester"], ""),
        ("Customer", row.customer if row else "", ""),
        ("Asked", times.short(created, where, now), words.ago(created, now)),
        ("Expires", times.short(expires, where, now) if waits else "", f"in {left}"),
        ("Approvals", f"{given} of {needed}" if needed > 1 else "", ""),
    ]
    if row is not None:
        facts.append(("Cost so far", cost(row), cost_note(row)))
    return facts


def _moment(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / 1e9, UTC)


def readable(document: str) -> str:
    """JSON over several lines; letters that a reader would not see are written as their numbers.

    It is still the same JSON, so that what was not edited is recognised as such.
    """
    try:
        text = json.dumps(json.loads(document), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = document
    return _UNSEEN.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def edited(document: str, text: str) -> str | None:
    """The arguments in ``text`` when they are others than those of ``document``.

    Raises:
        ValueError: it is no JSON.
    """
    wanted = json.loads(text, parse_constant=_refuse)
    return None if wanted == json.loads(document) else json.dumps(wanted, ensure_ascii=False)


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
