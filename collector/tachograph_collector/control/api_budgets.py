"""The control API's part on budgets: what people set, and the shares that agents take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tachograph_collector.control.access import Access, Name, actor
from tachograph_collector.control.budgets import Budgets
from tachograph_collector.control.database import now_ns
from tachograph_collector.control.leases import Account, Ask, Leases
from tachograph_collector.control.meanwhile import Seen
from tachograph_collector.keys import Caller
from tachograph_schemas.budgets import (
    BudgetError,
    Rule,
    forecast,
    limits_sentence,
    rule_from,
    window_at,
)
from tachograph_schemas.control import BUDGETS, LEASES, MOST_AMOUNT, MOST_LEASES

_MOST_RULES = 1_000
Amount = Annotated[float, Field(ge=0, le=MOST_AMOUNT, allow_inf_nan=False)]


def _can_name(name: str) -> str:
    """Names are parts of paths, where ``.`` and ``..`` lead elsewhere, and words in tables of a terminal."""
    if not name.isprintable() or name in {".", ".."}:
        raise ValueError("a name is made of letters that can be seen")
    return name


class Definition(BaseModel):
    """One budget."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Name, AfterValidator(_can_name)]
    limit: Amount
    unit: Name | None = None
    scope: Name | None = None
    target: Name | None = None
    window: Name | None = None
    rolling_s: int | None = None
    action: Name | None = None
    unreachable: Name | None = None
    if_version: Seen = None
    """The version that it takes the place of, 0 for none; when another is in force, nothing is changed (412)."""


class Change(BaseModel):
    """Budgets to put in force."""

    model_config = ConfigDict(extra="forbid")

    budgets: list[Definition] = Field(max_length=_MOST_RULES)
    prune: bool = False
    """Remove every budget that is not named."""
    actor: Name = ""


class Stand(BaseModel):
    """Where a lease is to stand."""

    model_config = ConfigDict(extra="forbid")

    lease: Annotated[str, Field(pattern="^[0-9a-f]{16,64}$")]
    budget: Name
    account: Name = ""
    used: Amount = 0
    need: Amount = 0
    done: bool = False


class Stands(BaseModel):
    """What one process asks for at once."""

    model_config = ConfigDict(extra="forbid")

    holder: Name = ""
    leases: list[Stand] = Field(max_length=MOST_LEASES)


def add_budgets(api: FastAPI, budgets: Budgets, leases: Leases, access: Access) -> None:
    """Add ``/api/v1/budgets``."""
    looking = Depends(access.needs("look"))
    setting = Depends(access.needs("operate"))

    @api.get(BUDGETS)
    def in_force(caller: Caller = looking) -> dict[str, Any]:
        """Every budget, with what was spent of it in its present window."""
        return {"budgets": _states(leases, caller.project, budgets.in_force(caller.project))}

    @api.post(BUDGETS)
    def put(change: Change, caller: Caller = setting) -> dict[str, Any]:
        """Put budgets in force, all or none."""
        try:
            rules = [
                rule_from(each.model_dump(exclude_none=True, exclude={"if_version"}))
                for each in change.budgets
            ]
        except BudgetError as error:
            raise HTTPException(422, str(error)) from error
        if len({rule.name for rule in rules}) < len(rules):
            raise HTTPException(422, "A budget is named twice.")
        who, seen = actor(change.actor, caller), {e.name: e.if_version for e in change.budgets}
        found = budgets.set(caller.project, rules, who, prune=change.prune, seen=seen)
        return {"budgets": [rule.as_dict() for rule in found]}

    @api.get(BUDGETS + "/{name}")
    def one(name: Name, caller: Caller = looking) -> dict[str, Any]:
        """One budget: its accounts, its burn-down, its versions."""
        rule = next((r for r in budgets.in_force(caller.project) if r.name == name), None)
        versions = [
            asdict(each) | {"rule": each.rule.as_dict() if each.rule else None}
            for each in budgets.versions(caller.project, name)
        ]
        if rule is None:
            if not versions:
                raise _missing(name)
            return {"removed": True, "versions": versions}
        line = [] if rule.is_local else leases.burn(caller.project, rule)
        state = _state(rule, leases.accounts(caller.project, rule))
        return state | {"removed": False, "burn": line, "versions": versions}

    @api.delete(BUDGETS + "/{name}")
    def remove(
        name: Name, caller: Caller = setting, by: Annotated[Name, Query()] = ""
    ) -> dict[str, Any]:
        """Take a budget out of force."""
        if not budgets.remove(caller.project, name, actor(by, caller)):
            raise _missing(name)
        return {"removed": name}


def add_leases(api: FastAPI, leases: Leases, access: Access) -> None:
    """Add ``/api/v1/budget-leases``."""
    spending = Depends(access.needs("ask"))

    @api.post(LEASES)
    def stand(wanted: Stands, caller: Caller = spending) -> dict[str, Any]:
        """Settle, renew and take shares of budgets. Can be sent twice."""
        asks = [Ask(**each.model_dump()) for each in wanted.leases]
        given = leases.stand(caller.project, wanted.holder, asks)
        return {"leases": [asdict(each) for each in given]}


def _states(leases: Leases, project: str, rules: Sequence[Rule]) -> list[dict[str, Any]]:
    accounts = leases.all_accounts(project, rules)
    return [_state(rule, accounts[rule.name]) for rule in rules]


def _state(rule: Rule, accounts: Sequence[Account]) -> dict[str, Any]:
    state: dict[str, Any] = {
        "rule": rule.as_dict(),
        "says": limits_sentence(rule),
        "accounts": [],
        "exceeded": False,
    }
    if rule.is_local:
        return state
    now = now_ns()
    window = window_at(rule, now)
    for each in accounts:
        left = max(rule.limit - each.spent - each.held, 0.0)
        ahead = forecast(each.spent, window.since_ns, now, window.ends_ns)
        if rule.window == "rolling":
            # A rolling window has no end to look ahead to: what counts now is what will count.
            ahead = each.spent
        state["accounts"].append(asdict(each) | {"left": left, "forecast": ahead})
        state["exceeded"] |= each.refused_ns is not None or each.spent >= rule.limit
    return state | {"since_ns": window.since_ns, "ends_ns": window.ends_ns}


def _missing(name: str) -> HTTPException:
    return HTTPException(404, f"There is no budget {name!r}; `tacho budget list` shows them.")
