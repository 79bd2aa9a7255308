"""What the page of alerts asks of the collector, and what it tells it.

Functions block until the answer is there and raise :class:`.control.ControlError` with a sentence when there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tachograph_dashboard import control
from tachograph_schemas.control import ALERTS

Row = Mapping[str, Any]
HISTORY_ROWS = 200
TEST_WAIT_S = 12
"""Longer than the ten seconds that a receiver has, so that what became of it can be said."""
_ANSWER_S = 5


def firing() -> list[Row]:
    """What is not well, the worst first."""
    return list(control.call("GET", f"{ALERTS}/firing")["firing"])


def rules() -> list[Row]:
    """The rules, by name."""
    return list(control.call("GET", f"{ALERTS}/rules")["rules"])


def rule(rule_id: str) -> Row | None:
    """One rule with its groups; ``None`` when there is none."""
    if not rule_id.isalnum():
        return None
    try:
        return control.call("GET", f"{ALERTS}/rules/{rule_id}")
    except control.ControlError as error:
        if error.status in {404, 422}:
            return None
        raise


def metrics() -> list[Row]:
    """What a rule can watch."""
    return list(control.call("GET", f"{ALERTS}/metrics")["metrics"])


def history() -> list[Row]:
    """What changed, the newest first."""
    return list(control.call("GET", f"{ALERTS}/history", query={"limit": HISTORY_ROWS})["events"])


def targets() -> list[Row]:
    """Who can be told."""
    return list(control.call("GET", f"{ALERTS}/targets")["targets"])


def deliveries() -> list[Row]:
    """What was sent, the newest first."""
    return list(control.call("GET", f"{ALERTS}/deliveries", query={"limit": 50})["deliveries"])


def save(definition: Row, by: str, seen: int) -> Row:
    """Make a rule, or change the version that was ``seen`` (0: there was none)."""
    body = {"rule": definition, "actor": by, "if_version": seen}
    return control.call("POST", f"{ALERTS}/rules", body)


def named(name: str) -> Row:
    """The rule of this name; empty when there is none."""
    return next((each for each in rules() if each["name"] == name), {})


def preview(definition: Row) -> list[Row]:
    """The figures of a rule at this moment."""
    return list(control.call("POST", f"{ALERTS}/preview", {"rule": definition})["groups"])


def remove(rule_id: str, by: str) -> None:
    """Remove a rule."""
    control.call("DELETE", f"{ALERTS}/rules/{rule_id}", query={"by": by})


def snooze(rule_id: str, group: str | None, for_s: float, by: str) -> None:
    """Tell nobody for a while."""
    body = {"for_s": for_s, "group": group, "actor": by}
    control.call("POST", f"{ALERTS}/rules/{rule_id}/snooze", body)


def acknowledge(event_id: str, by: str) -> None:
    """Say that somebody takes care."""
    control.call("POST", f"{ALERTS}/events/{event_id}/ack", {"actor": by})


def put_target(name: str, url: str, by: str) -> Row:
    """Make a target, or give it another URL."""
    return control.call("POST", f"{ALERTS}/targets", {"name": name, "url": url, "actor": by})


def windows() -> list[Row]:
    """The maintenance windows, in their order."""
    return list(control.call("GET", f"{ALERTS}/windows")["windows"])


def put_window(window: Row, by: str) -> Row:
    """Make a maintenance window, in place of the one of that name."""
    return control.call("POST", f"{ALERTS}/windows", {**window, "actor": by})


def digests() -> list[Row]:
    """The digests, by name."""
    return list(control.call("GET", f"{ALERTS}/digests")["digests"])


def put_digest(digest: Row, by: str) -> Row:
    """Make a digest, in place of the one of that name."""
    return control.call("POST", f"{ALERTS}/digests", {**digest, "actor": by})


def preview_digest(every: str) -> list[str]:
    """What a digest of the day or the week until now would say, line by line."""
    return list(control.call("GET", f"{ALERTS}/digests/preview", query={"every": every})["lines"])


def remove_named(kind: str, name: str, by: str) -> Row:
    """Remove one of the ``targets``, ``windows`` or ``digests``."""
    return control.call("DELETE", f"{ALERTS}/{kind}", query={"name": name, "by": by})


def test(name: str, by: str) -> Row:
    """Send a test; what became of it."""
    body = {"name": name, "actor": by}
    return control.call(
        "POST",
        f"{ALERTS}/test",
        body,
        query={"wait_s": TEST_WAIT_S},
        timeout_s=TEST_WAIT_S + _ANSWER_S,
    )
