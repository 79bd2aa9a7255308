"""Figures that the control database knows, as rules find them: open alarms of drift, what is used of budgets."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select

from tachograph_collector.alerts.book import Kept
from tachograph_collector.alerts.control_figures import figures
from tachograph_collector.alerts.rules import Rule
from tachograph_collector.alerts.service import Alerts
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.budgets import Budgets
from tachograph_collector.control.database import Database
from tachograph_collector.control.leases import Ask, Leases
from tachograph_collector.control.tables import DRIFT_ALARMS
from tachograph_collector.control.tables_alerts import OUTBOX
from tachograph_schemas.budgets import rule_from

PROJECT = "default"


@pytest.fixture
def database(tmp_path):
    opened = Database(f"sqlite:///{tmp_path / 'control.db'}")
    yield opened
    opened.close()


def found(database: Database, **rule) -> dict[str, float]:
    kept = Kept("1", PROJECT, 1, 0, 0, "test", Rule(name="r", critical=1, **rule))
    return {each.key: each.value for each in figures(database, kept)}


def raised(database: Database, number: int, agent: str, state: str, project: str = PROJECT) -> None:
    row = {"metric": "cost_usd", "direction": "more", "baseline_version": 1, "data": "{}"}
    times = {"raised_ns": number, "last_ns": number, "times": 1}
    with database.write() as connection:
        values = {"id": str(number), "project": project, "agent": agent, "state": state}
        connection.execute(DRIFT_ALARMS.insert().values(**row, **times, **values))


def test_open_alarms_of_drift_are_counted_and_told_once(database, tmp_path):
    raised(database, 1, "billing", "open")
    raised(database, 2, "billing", "open")
    raised(database, 3, "billing", "acknowledged")
    raised(database, 4, "support", "open")
    raised(database, 5, "billing", "open", project="other")
    assert found(database, metric="drift_alarms") == {"": 3}
    by_agent = {"metric": "drift_alarms", "group_by": "agent"}
    assert found(database, **by_agent) == {"billing": 2, "support": 1}
    assert found(database, only={"agent": ["support"]}, metric="drift_alarms") == {"": 1}

    audit = Audit(database, tmp_path / "audit.head")
    alerts = Alerts(
        database,
        audit,
        dsn="chdb:///nowhere",
        interval_s=1,
        allowed=(),
        dashboard_url=lambda: "https://tacho.example/",
    )
    alerts.targets.put(PROJECT, "team", "https://example.com/x", "test")
    rule = Rule(name="drift", critical=1, targets=["team"], only={"agent": ["support"]}, **by_agent)
    alerts.book.put(PROJECT, rule, "test")
    assert alerts.evaluator.look() == 1
    assert alerts.evaluator.look() == 0
    [row] = alerts.outbox.listed(PROJECT, 10)
    assert row["title"] == "Critical: drift (support)"
    with database.read() as connection:
        message = json.loads(connection.execute(select(OUTBOX.c.message)).scalar())
    assert message["link"] == "https://tacho.example/drift?agent=support"
    assert message["link"] in message["text"].split("\n")


def test_the_share_used_of_budgets_is_the_worst_one(database, tmp_path):
    audit = Audit(database, tmp_path / "audit.head")
    budgets = [
        {"name": "all", "limit": 100, "window": "day"},
        {"name": "each agent", "limit": 10, "scope": "agent", "window": "day"},
        {"name": "each customer", "limit": 4, "scope": "customer", "window": "day"},
        {"name": "a run", "limit": 1, "scope": "run"},
    ]
    Budgets(database, audit, lambda _: None).set(
        PROJECT, [rule_from(each) for each in budgets], "test", prune=False
    )
    used = [("all", "", 30), ("each agent", "billing", 8), ("each agent", "support", 2)]
    used.append(("each customer", "acme", 1))
    Leases(database).stand(
        PROJECT,
        "test",
        [
            Ask(f"{number:016x}", budget, account, spent, 0, done=False)
            for number, (budget, account, spent) in enumerate(used)
        ],
    )
    assert found(database, metric="budget_used") == {"": pytest.approx(0.8)}
    assert found(database, metric="budget_used", group_by="agent") == {
        "billing": pytest.approx(0.8),
        "support": pytest.approx(0.2),
    }
    assert found(database, metric="budget_used", group_by="customer") == {
        "acme": pytest.approx(0.25)
    }
    only = {"customer": ["acme"]}
    assert found(database, metric="budget_used", only=only) == {"": pytest.approx(0.25)}
