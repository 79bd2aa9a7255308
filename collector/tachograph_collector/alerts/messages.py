"""What people are told: the same facts as a title, a text and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from tachograph_collector.alerts.rules import Rule
from tachograph_schemas import words

_HEADS = {
    "fires": "{level}",
    "worsens": "Worse, {level}",
    "changes": "Now {level}",
    "eases": "Better, {level}",
    "recovers": "Recovered",
    "reminds": "Still {level}",
    "closed": "Closed",
}
_LEVELS = {"ok": "ok", "warning": "warning", "critical": "critical", "no_data": "no data"}
_TITLE_CHARS = 150
TYPES = {"ok": "success", "warning": "warning", "critical": "failure", "no_data": "warning"}
"""Apprise's words for levels: they choose colours and icons."""


def page_of(rule: Rule, group: str) -> str:
    """The page of the dashboard that shows what a rule watches, as a path with a query."""
    source = rule.what.source
    agent = {"agent": group} if rule.group_by == "agent" and group else {}
    if source == "drift":
        return f"/drift?{urlencode(agent)}" if agent else "/drift"
    if source == "approvals":
        return "/approvals"
    if source == "budgets" or rule.what.unit == "usd":
        return "/costs"
    return f"/agents?{urlencode({'name': group})}" if agent else "/alerts"


def alert_message(rule: Rule, event: Mapping[str, Any], dashboard_url: str = "") -> dict[str, Any]:
    """The message about one event; with a link when it is known where people open the dashboard."""
    link = dashboard_url.rstrip("/") + page_of(rule, event["group_key"]) if dashboard_url else ""
    head = _HEADS[event["kind"]].format(level=_LEVELS[event["to_level"]])
    title = f"{head[0].upper()}{head[1:]}: {rule.name}"
    if rule.group_by:
        title += f" ({words.excerpt(event['group_key'], 60)})"
    lines = [event["sentence"] + "."]
    if rule.note:
        lines += ["", rule.note]
    if link:
        lines += ["", link]
    lines += ["", f"{_moment(event['at_ns'])} · project {event['project']}"]
    return {
        "type": "alert",
        "id": event["id"],
        "seq": event["seq"],
        "title": words.plain(title[:_TITLE_CHARS]),
        "text": words.plain("\n".join(lines), newlines=True),
        "project": event["project"],
        "rule": rule.name,
        "rule_id": event["rule_id"],
        "kind": event["kind"],
        "from": event["from_level"],
        "level": event["to_level"],
        "group_by": rule.group_by,
        "group": event["group_key"],
        "metric": rule.metric,
        "unit": rule.what.unit,
        "value": event["value"],
        "warning": rule.warning,
        "critical": rule.critical,
        "window_s": rule.window_s,
        "link": link,
        "at": datetime.fromtimestamp(event["at_ns"] / 1e9, UTC).isoformat(),
    }


def test_message(message_id: str, project: str, by: str) -> dict[str, Any]:
    """The message that tests a target."""
    return {
        "type": "test",
        "id": message_id,
        "title": "Tachograph: a test",
        "text": f"If you can read this, alerts of project {project} reach you. Sent by {words.plain(by)}.",
        "project": project,
        "level": "ok",
    }


def _moment(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
