"""What the page of alerts draws: rows of one form for what fires, what fired, rules, targets and deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from tachograph_dashboard.views import times
from tachograph_schemas import words
from tachograph_schemas.control import MOST_FIRING

Row = Mapping[str, Any]
_LEVELS = {
    "critical": ("Critical", "bad"),
    "warning": ("Warning", "warn"),
    "no_data": ("No data", "warn"),
    "ok": ("All well", "good"),
}
_KINDS = {
    "fires": "fired",
    "worsens": "got worse",
    "changes": "changed",
    "eases": "got better",
    "recovers": "recovered",
    "reminds": "still fires",
    "closed": "closed",
}
_SENT = {
    "sent": ("Sent", "good"),
    "waiting": ("Waits", "warn"),
    "sending": ("Sending", "live"),
    "failed": ("Failed", "bad"),
}
_LINE_CHARS = 400


def drawn(row_id: str, state: tuple[str, str], title: str, **more: Any) -> dict[str, Any]:
    """One row of any list of the page: a state and its tone, a title, and what else there is to say."""
    plain = {"of": "", "line": "", "meta": [], "acts": [], "opens": False, "quiet": False}
    word, tone = state
    return {"id": row_id, "state": word, "tone": tone, "title": title} | plain | more


def firing(rows: Sequence[Row], now: datetime) -> list[dict[str, Any]]:
    """What is not well, with what can be done about it."""
    return [_fires(row, now) for row in rows]


def milder(found: int, listed: int) -> str:
    """What is said of those that are not listed, as they are too many; ``found`` is at most :data:`MOST_FIRING`."""
    if found == listed:
        return ""
    count = f"{found - listed:,} more"
    if found >= MOST_FIRING:
        count = f"At least {count}"
    return f"{count} fire, none of them worse than these. They are listed as these end."


def _fires(row: Row, now: datetime) -> dict[str, Any]:
    now_ns = now.timestamp() * 1e9
    meta: list[tuple[str, bool]] = [
        (f"for {words.duration(max(0, now_ns - row['since_ns']))}", False)
    ]
    if row["acked_by"]:
        meta.append((f"{words.excerpt(row['acked_by'], 60)} takes care of it", True))
    snoozed = row["snoozed_until_ns"] > now_ns
    if snoozed:
        meta.append((f"snoozed, {words.duration(row['snoozed_until_ns'] - now_ns)} left", True))
    acts = [] if row["acked_by"] or not row["event_id"] else [("ack", "I take care of it")]
    acts.append(("wake", "End snooze") if snoozed else ("snooze", "Snooze 1 h"))
    return drawn(
        f"{row['rule_id']} {row['event_id']} {row['group']}",
        _LEVELS[row["level"]],
        words.excerpt(row["rule_name"], 100),
        of=words.excerpt(row["group"], 80),
        line=words.excerpt(row["sentence"], _LINE_CHARS),
        meta=meta,
        acts=acts,
    )


def history(rows: Sequence[Row], where: tzinfo, now: datetime) -> list[dict[str, Any]]:
    """What changed."""
    found = []
    for row in rows:
        moment = datetime.fromtimestamp(row["at_ns"] / 1e9, UTC)
        meta = [(f"{times.short(moment, where, now)}, {words.ago(moment, now)}", False)]
        if row["muted"]:
            meta.append((f"nobody was told: {words.excerpt(row['muted'], 80)}", False))
        if row["acked_by"]:
            meta.append((f"{words.excerpt(row['acked_by'], 60)} took care of it", True))
        found.append(
            drawn(
                row["id"],
                ("Closed", "plain") if row["kind"] == "closed" else _LEVELS[row["to_level"]],
                f"{words.excerpt(row['rule_name'], 100)} {_KINDS[row['kind']]}",
                of=words.excerpt(row["group"], 80),
                line=words.excerpt(row["sentence"], _LINE_CHARS),
                meta=meta,
                quiet=row["to_level"] == "ok",
            )
        )
    return found


def rules(rows: Sequence[Row], now: datetime) -> list[dict[str, Any]]:
    """The rules; a click opens one."""
    found = []
    for row in rows:
        levels = row["firing"]
        worst = "critical" if "critical" in levels else levels[0] if levels else "ok"
        meta = [("tells " + ", ".join(words.excerpt(name, 40) for name in row["targets"]), False)]
        if not row["targets"]:
            meta = [("tells nobody: it is seen here alone", False)]
        if len(levels) > 1:
            meta.append((f"fires for {len(levels)}", True))
        if row["snoozed_until_ns"] > now.timestamp() * 1e9:
            meta.append(("snoozed", True))
        found.append(
            drawn(
                row["id"],
                _LEVELS[worst] if row["enabled"] else ("Off", "plain"),
                words.excerpt(row["name"], 100),
                line=words.excerpt(row["summary"], _LINE_CHARS),
                meta=meta,
                opens=True,
                quiet=not levels,
            )
        )
    return found


def groups(found: Sequence[Row]) -> list[dict[str, Any]]:
    """How a rule would judge the figures of this moment."""
    return [
        drawn(
            each["key"],
            _LEVELS[each["level"]],
            words.excerpt(each["key"], 100) or "Everything together",
            line=words.excerpt(each["sentence"], _LINE_CHARS),
            meta=[(f"from {each['samples']:,}", False)],
            quiet=each["level"] == "ok",
        )
        for each in found
    ]


def targets(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Who can be told."""
    return [
        drawn(
            row["name"],
            ("Webhook" if row["kind"] == "webhook" else "Apprise", "plain"),
            words.excerpt(row["name"], 100),
            line=words.excerpt(row["url"], 120),
            acts=[("test", "Send a test"), ("remove", "Remove")],
            quiet=True,
        )
        for row in rows
    ]


def deliveries(rows: Sequence[Row], where: tzinfo, now: datetime) -> list[dict[str, Any]]:
    """What was sent to whom."""
    found = []
    for row in rows:
        moment = datetime.fromtimestamp(row["created_ns"] / 1e9, UTC)
        meta = [
            (times.short(moment, where, now), False),
            (f"to {words.excerpt(row['target'], 60)}", False),
        ]
        if row["attempts"] > 1:
            meta.append((f"tried {words.times(row['attempts'])}", True))
        if row["said"]:
            meta.append((words.excerpt(row["said"], 160), row["status"] == "failed"))
        found.append(
            drawn(
                row["id"],
                _SENT[row["status"]],
                words.excerpt(row["title"], 120),
                meta=meta,
                quiet=row["status"] == "sent",
            )
        )
    return found
