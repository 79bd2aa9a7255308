"""The control API's part on alert rules, what fires, and what fired."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from tachograph_collector.alerts import book
from tachograph_collector.alerts.api_named import there
from tachograph_collector.alerts.book import Kept
from tachograph_collector.alerts.rules import Rule
from tachograph_collector.alerts.service import Alerts
from tachograph_collector.control.access import Access, Name, Sentence, actor
from tachograph_collector.control.meanwhile import Seen
from tachograph_collector.keys import Caller
from tachograph_schemas.alerts import METRICS, Measured
from tachograph_schemas.control import ALERTS
from tachograph_schemas.store import StoreError

RuleId = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
_Limit = Annotated[int, Query(ge=1, le=1_000)]
_MONTH_S = 31 * 86_400.0


class Asked(BaseModel):
    """A rule, and who wants it."""

    model_config = ConfigDict(extra="forbid")

    rule: Rule
    actor: Name = ""
    if_version: Seen = None
    """The version that it takes the place of, 0 for none; when another is kept, nothing is changed (412)."""


class Snoozed(BaseModel):
    """For how long nobody is told."""

    model_config = ConfigDict(extra="forbid")

    for_s: Annotated[float, Field(ge=0, le=_MONTH_S, allow_inf_nan=False)]
    """Seconds from now; 0 ends a snooze."""
    group: Name | None = None
    """One group of the rule; null: all of them."""
    actor: Name = ""


class Acknowledged(BaseModel):
    """Somebody takes care of it."""

    model_config = ConfigDict(extra="forbid")

    note: Sentence = ""
    actor: Name = ""


def add_rules(api: FastAPI, alerts: Alerts, access: Access) -> None:
    """Add what is read of ``/api/v1/alerts/metrics`` and ``/rules``."""
    looking = Depends(access.needs("look"))

    @api.get(ALERTS + "/metrics")
    def metrics(caller: Caller = looking) -> dict[str, Any]:
        """What rules can watch."""
        hidden = {"source"}
        return {
            "metrics": [
                {name: value for name, value in asdict(metric).items() if name not in hidden}
                for metric in METRICS.values()
            ]
        }

    @api.get(ALERTS + "/rules")
    def rules(caller: Caller = looking) -> dict[str, Any]:
        """The rules of the project, by name; ``firing`` are the levels of their groups that are not well."""
        levels: dict[str, list[str]] = {}
        for state in alerts.history.firing(caller.project):
            levels.setdefault(state["rule_id"], []).append(state["level"])
        return {
            "rules": [
                rule | {"firing": levels.get(rule["id"], [])}
                for rule in alerts.book.listed(caller.project)
            ]
        }

    @api.get(ALERTS + "/rules/{rule_id}")
    def one(rule_id: RuleId, caller: Caller = looking) -> dict[str, Any]:
        """One rule, and how each of its groups stands."""
        kept = there(alerts.book.get(caller.project, rule_id))
        return book.shown(kept) | {"states": alerts.history.states(kept.id)}

    @api.post(ALERTS + "/preview")
    def preview(asked: Asked, caller: Caller = looking) -> dict[str, Any]:
        """What a rule's figures are at this moment, and which level each of them is worth."""
        try:
            measured = alerts.preview(Kept("", caller.project, 0, 0, 0, "", asked.rule))
        except StoreError as error:
            raise HTTPException(503, "The engine does not answer now.") from error
        return {"groups": [_judged(asked.rule, each) for each in measured]}


def add_rule_changes(api: FastAPI, alerts: Alerts, access: Access) -> None:
    """Add what changes ``/api/v1/alerts/rules``."""
    operating = Depends(access.needs("operate"))

    @api.post(ALERTS + "/rules")
    def put(asked: Asked, caller: Caller = operating) -> dict[str, Any]:
        """Make a rule, or change the one of that name."""
        known = {target["name"] for target in alerts.targets.listed(caller.project)}
        if missing := [name for name in asked.rule.targets if name not in known]:
            raise HTTPException(422, f"There is no target {missing[0]!r}; make it first.")
        who = actor(asked.actor, caller)
        kept = alerts.book.put(caller.project, asked.rule, who, asked.if_version)
        alerts.courier.wake()
        return kept

    @api.delete(ALERTS + "/rules/{rule_id}")
    def remove(
        rule_id: RuleId, caller: Caller = operating, by: Annotated[Name, Query()] = ""
    ) -> dict[str, Any]:
        """Remove a rule; its history stays."""
        removed = there(alerts.book.remove(caller.project, rule_id, actor(by, caller)))
        alerts.courier.wake()
        return removed

    @api.post(ALERTS + "/rules/{rule_id}/snooze")
    def snooze(rule_id: RuleId, snoozed: Snoozed, caller: Caller = operating) -> dict[str, Any]:
        """Tell nobody for a while; what changed meanwhile and lasts is told afterwards."""
        until_ns = time.time_ns() + int(snoozed.for_s * 1e9)
        who = actor(snoozed.actor, caller)
        missing = (
            "There is no such rule, or no such group of it; `tacho alert show` lists its groups."
        )
        kept = alerts.book.snooze(caller.project, rule_id, snoozed.group, until_ns, who)
        return there(kept, missing)


def add_history(api: FastAPI, alerts: Alerts, access: Access) -> None:
    """Add ``/api/v1/alerts/firing``, ``/history`` and ``/deliveries``."""
    looking = Depends(access.needs("look"))
    operating = Depends(access.needs("operate"))

    @api.get(ALERTS + "/firing")
    def firing(caller: Caller = looking) -> dict[str, Any]:
        """What is not well at this moment, the worst first."""
        return {"firing": alerts.history.firing(caller.project)}

    @api.get(ALERTS + "/history")
    def history(
        caller: Caller = looking,
        limit: _Limit = 100,
        before_ns: Annotated[int | None, Query(ge=1, le=1 << 62)] = None,
        rule_id: Annotated[str, Query(pattern="^([0-9a-f]{16})?$")] = "",
    ) -> dict[str, Any]:
        """What changed, the newest first, with what was told and what was muted."""
        return {"events": alerts.history.listed(caller.project, limit, before_ns, rule_id)}

    @api.post(ALERTS + "/events/{event_id}/ack")
    def acknowledge(
        event_id: RuleId, acknowledged: Acknowledged, caller: Caller = operating
    ) -> dict[str, Any]:
        """Somebody takes care: no reminders until it changes. The first one counts."""
        by = acknowledged.actor.strip() or caller.name
        who = actor(acknowledged.actor, caller)
        found = alerts.history.acknowledge(caller.project, event_id, who, by, acknowledged.note)
        return there(found)

    @api.get(ALERTS + "/deliveries")
    def deliveries(
        caller: Caller = looking,
        limit: _Limit = 100,
        message_id: Annotated[str, Query(pattern="^[0-9a-f-]{0,40}$")] = "",
    ) -> dict[str, Any]:
        """What was sent to whom, how often it was tried, and what the receiver said."""
        return {"deliveries": alerts.outbox.listed(caller.project, limit, message_id)}


def _judged(rule: Rule, measured: Measured) -> dict[str, Any]:
    level = rule.level(measured.value, "ok")
    sentence = rule.sentence(measured.key, level, measured.value)
    return asdict(measured) | {"level": level, "sentence": sentence}
