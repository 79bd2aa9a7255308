"""How much waits for people, in one answer."""

from __future__ import annotations

import contextlib

import pytest
from sqlalchemy import event, insert

from postgres_server import postgres
from tachograph_collector.alerts.history import History
from tachograph_collector.control.api_waiting import counted
from tachograph_collector.control.approvals import Approvals, Request
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database
from tachograph_collector.control.tables import DRIFT_ALARMS
from tachograph_collector.control.tables_alerts import RULES, STATES


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request, tmp_path_factory):
    """Both kinds of control database; each test has projects of its own."""
    with contextlib.ExitStack() as open_ones:
        url = f"sqlite:///{tmp_path_factory.mktemp('waiting') / 'control.db'}"
        if request.param == "postgresql":
            url = open_ones.enter_context(postgres())
        opened = Database(url)
        open_ones.callback(opened.close)
        yield opened


def add_rule(database: Database, project: str, levels: list[str]) -> str:
    """A rule with a group for each level, of which the first has been so for the longest time."""
    rule = {
        "id": f"rule of {project}"[:16],
        "project": project,
        "name": "r",
        "definition": '{"name": "r", "metric": "cost_usd", "critical": 1}',
    }
    numbers = dict.fromkeys(("version", "snoozed_until_ns", "updated_ns"), 0)
    state = dict.fromkeys(
        ("seq", "told_ns", "acked", "snoozed_until_ns", "samples", "measured_ns"), 0
    )
    with database.write() as connection:
        connection.execute(insert(RULES).values(rule | numbers | {"updated_by": "test"}))
        rows = [
            state
            | {
                "rule_id": rule["id"],
                "group_key": f"{at} {level}",
                "level": level,
                "told": level,
                "since_ns": at,
            }
            for at, level in enumerate(levels)
        ]
        connection.execute(insert(STATES), rows)
    return rule["id"]


def add_alarm(database: Database, project: str, number: int, state: str) -> None:
    texts = {"metric": "cost_usd", "direction": "more", "data": "{}", "agent": f"agent {number}"}
    numbers = dict.fromkeys(("baseline_version", "raised_ns", "last_ns", "times"), 1)
    with database.write() as connection:
        row = {"id": str(number), "project": project, "state": state} | texts | numbers
        connection.execute(insert(DRIFT_ALARMS).values(row))


def test_what_waits_is_counted_in_one_question_and_each_project_s_alone(database, tmp_path):
    approvals = Approvals(database, Audit(database, tmp_path / "audit.head"), str)
    for number in range(3):
        texts = dict.fromkeys(("run_id", "span_id", "agent", "reason", "risk", "requester"), "")
        asked = Request(
            idempotency_key=f"{number:064}",
            action="refund",
            params="{}",
            context=None,
            approvers_needed=1,
            timeout_s=3_600,
            **texts,
        )
        approvals.ask(asked, "ours" if number else "theirs", "key", "test")
    add_rule(database, "ours", ["warning", "ok", "critical", "no_data"])
    add_rule(database, "theirs", ["ok", "critical"])
    for number, (project, state) in enumerate(
        [("ours", "open"), ("ours", "acknowledged"), ("theirs", "open"), ("theirs", "open")]
    ):
        add_alarm(database, project, number, state)
    asked = []
    with database.read() as connection:
        event.listen(connection, "before_cursor_execute", lambda *said: asked.append(said[2]))
        assert counted(connection, "ours") == {"approvals": 2, "alerts": 3, "drift": 1}
        assert len(asked) == 1
        assert counted(connection, "theirs") == {"approvals": 1, "alerts": 1, "drift": 2}
        assert counted(connection, "nobody's") == {"approvals": 0, "alerts": 0, "drift": 0}


def test_a_critical_alert_is_not_hidden_behind_a_thousand_newer_warnings(database, tmp_path):
    add_rule(database, "p", ["critical", *["warning"] * 1_000])
    firing = History(database, Audit(database, tmp_path / "audit.head")).firing("p")
    assert len(firing) == 1_000
    assert [row["group"] for row in firing[:3]] == ["0 critical", "1000 warning", "999 warning"]
