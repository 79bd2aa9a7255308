"""The control API's part on pauses and stops."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict

from tachograph_collector.control.access import Access, Name, Sentence, actor
from tachograph_collector.control.budgets import Budgets
from tachograph_collector.control.news import News
from tachograph_collector.control.orders import Action, Orders, Scope
from tachograph_collector.keys import Caller
from tachograph_schemas.control import MOST_WAIT_S, ORDERS


class Aim(BaseModel):
    """Whom an order is for."""

    model_config = ConfigDict(extra="forbid")

    scope: Scope
    target: Name = ""
    """The agent's name or the run's id; empty for everything."""
    actor: Name = ""


class Given(Aim):
    """An order to give."""

    action: Action
    reason: Sentence = ""


def topic(project: str) -> str:
    """What :class:`News` calls the orders of a project."""
    return f"orders {project}"


def add_orders(api: FastAPI, orders: Orders, budgets: Budgets, news: News, access: Access) -> None:
    """Add ``/api/v1/orders``."""
    hearing = Depends(access.needs("ask", "look"))
    giving = Depends(access.needs("operate"))

    @api.get(ORDERS)
    async def in_force(
        caller: Caller = hearing,
        known: Annotated[str, Query(max_length=64)] = "",
        wait_s: Annotated[float, Query(ge=0, le=MOST_WAIT_S)] = 0,
    ) -> dict[str, Any]:
        """The orders and budgets in force; with ``wait_s``, as soon as they differ from those of the tag ``known``."""

        async def look() -> dict[str, Any]:
            return await asyncio.to_thread(_state, orders, budgets, caller.project)

        return await news.until(
            topic(caller.project), look, lambda found: found["tag"] != known, wait_s
        )

    @api.post(ORDERS)
    def give(given: Given, caller: Caller = giving) -> dict[str, Any]:
        """Pause or stop."""
        _aimed(given)
        who = actor(given.actor, caller)
        order = orders.give(
            caller.project, given.action, given.scope, given.target, given.reason, who
        )
        return asdict(order)

    @api.post(ORDERS + "/end")
    def end(aim: Aim, caller: Caller = giving) -> dict[str, Any]:
        """Take back what is in force for exactly this scope and target."""
        _aimed(aim)
        ended = orders.end(caller.project, aim.scope, aim.target, actor(aim.actor, caller))
        return {"ended": [asdict(order) for order in ended]}


def _aimed(aim: Aim) -> None:
    if bool(aim.target) == (aim.scope == "all"):
        raise HTTPException(422, "An agent or a run is named; everything is not.")


def _state(orders: Orders, budgets: Budgets, project: str) -> dict[str, Any]:
    found = orders.in_force(project)
    ended = orders.last_ended(project)
    # Every change shows: a new order, and one that is taken back, even the only one there ever was.
    rules = budgets.in_force(project)
    ids = " ".join([*(order.id for order in found), "/", *(order.id for order in ended[:1])])
    ids += json.dumps([(rule.name, rule.version) for rule in rules])
    return {
        "tag": hashlib.sha256(ids.encode()).hexdigest()[:16],
        "orders": [asdict(order) for order in found],
        "ended": [asdict(order) for order in ended],
        "budgets": [rule.as_dict() for rule in rules],
    }
