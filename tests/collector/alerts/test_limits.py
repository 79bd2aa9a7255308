"""One project cannot keep the others from being told, and a clock that was put right does not either."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from tachograph_collector.alerts import lease, outbox, states
from tachograph_collector.alerts.book import Book, every
from tachograph_collector.alerts.digests import Digests
from tachograph_collector.alerts.lease import Lease
from tachograph_collector.alerts.mutes import Windows
from tachograph_collector.alerts.outbox import MOST_OF_A_PROJECT, Outbox
from tachograph_collector.alerts.rules import Rule
from tachograph_collector.alerts.states import Round
from tachograph_collector.alerts.targets import Targets
from tachograph_collector.control import limits
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.budgets import Budgets
from tachograph_collector.control.database import Database, now_ns
from tachograph_schemas.alerts import Measured
from tachograph_schemas.budgets import Rule as Budget

HOUR_NS = 3_600 * 10**9


@pytest.fixture
def database(tmp_path):
    opened = Database(f"sqlite:///{tmp_path / 'control.db'}")
    yield opened
    opened.close()


@pytest.fixture
def audit(database, tmp_path):
    return Audit(database, tmp_path / "head")


def rule(name):
    return Rule(name=name, metric="tool_error_rate", group_by="tool", warning=0.5)


@pytest.mark.parametrize("kind", ["RULES", "TARGETS", "WINDOWS", "DIGESTS", "BUDGETS"])
def test_a_project_keeps_so_many_of_a_kind_and_others_are_free_to(
    kind, database, audit, monkeypatch
):
    monkeypatch.setattr(limits, f"MOST_{kind}", 2)
    for rows in (Windows, Digests):
        monkeypatch.setattr(rows, "most", 2)
    book, budgets = Book(database, audit, Outbox(database, "a")), Budgets(database, audit, str)
    window = {"starts_ns": 1, "ends_ns": 2, "every": "", "agents": []}
    digest = {"every": "day", "minute": 0, "weekday": 0, "targets": ["t"]}
    makes = {
        "RULES": lambda project, name: book.put(project, rule(name), ""),
        "TARGETS": lambda project, name: Targets(database, audit).put(
            project, name, "https://a.example/x", ""
        ),
        "WINDOWS": lambda project, name: Windows(database, audit).put(
            project, window | {"name": name}, ""
        ),
        "DIGESTS": lambda project, name: Digests(database, audit).put(
            project, digest | {"name": name}, ""
        ),
        "BUDGETS": lambda project, name: budgets.set(project, [Budget(name, 1.0)], "", prune=False),
    }
    make = makes[kind]
    for name in ("a", "b", "b"):
        make("ours", name)
    before = len(audit.entries(None, 100))
    with pytest.raises(limits.TooManyError, match="may have 2"):
        make("ours", "c")
    assert len(audit.entries(None, 100)) == before
    make("theirs", "c")


def put(database, audit, box, project, number):
    Targets(database, audit).put(project, "t", "https://a.example/x", "")
    with database.write() as connection:
        for each in range(number):
            box.put(connection, project, ["t"], {"id": f"{project}-{each}"})


def test_targets_of_one_project_that_hang_do_not_hold_up_another_s(database, audit):
    box = Outbox(database, "holder")
    put(database, audit, box, "floods", 50)
    put(database, audit, box, "other", 1)
    claimed = box.claim(4)
    assert [each.message_id for each in claimed][:MOST_OF_A_PROJECT] == [
        f"floods-{each}" for each in range(MOST_OF_A_PROJECT)
    ]
    assert [each.message_id for each in claimed][MOST_OF_A_PROJECT:] == ["other-0"]
    assert box.claim(4) == [], "the rest waits until something of it is through"
    box.finish(claimed[0], "HTTP 200")
    assert [each.message_id for each in box.claim(4)] == [f"floods-{MOST_OF_A_PROJECT}"]


def test_after_a_clock_is_put_back_nothing_waits_for_the_time_that_it_showed(
    database, audit, monkeypatch
):
    ahead, behind = Lease(database, "n", "ahead", 5.0), Lease(database, "n", "behind", 5.0)
    box = Outbox(database, "holder")
    with monkeypatch.context() as clock:
        for module in (lease, outbox):
            clock.setattr(module, "now_ns", lambda: now_ns() + HOUR_NS)
        assert ahead.take()
        put(database, audit, box, "p", 1)
        assert len(box.claim(1)) == 1
    assert behind.take()
    assert not ahead.take(), "it holds as any other does"
    assert len(box.claim(1)) == 1


def test_names_that_never_end_make_no_states_without_end(database, audit, monkeypatch):
    monkeypatch.setattr(states, "_MOST_STATES", 5)
    box = Outbox(database, "holder")
    book = Book(database, audit, box)
    book.put("p", rule("r"), "")
    with database.write() as connection:
        (kept,) = every(connection)
        for look in range(4):
            found = [Measured(f"tool {look} {each}", 1.0, 3) for each in range(3)]
            states.apply(connection, box, Round(kept, found), (), now_ns())
        found = connection.execute(states.select(states.STATES.c.group_key)).scalars().all()
    assert sorted(found) == ["tool 0 0", "tool 0 1", "tool 0 2", "tool 1 0", "tool 1 1"]


def test_thousands_of_groups_that_change_are_written_together(database, audit):
    """Nobody else writes meanwhile: decisions and budgets wait for them."""
    box = Outbox(database, "holder")
    book = Book(database, audit, box)
    Targets(database, audit).put("p", "t", "https://a.example/x", "")
    book.put("p", rule("r").model_copy(update={"targets": ["t"]}), "")
    asked: list[str] = []
    with database.write() as connection:
        (kept,) = every(connection)
        event.listen(connection, "before_cursor_execute", lambda *said: asked.append(said[2]))
        for look, value in enumerate((1.0, 0.0, 1.0)):
            found = [Measured(f"tool {each}", value, 3) for each in range(900)]
            assert states.apply(connection, box, Round(kept, found), (), now_ns()) == 900
            assert len(asked) < 10 * (look + 1)
    assert box.waiting() == 2_700
    # What is told of a group leaves in order.
    sent = box.claim(4)
    assert [each.message["seq"] for each in sent] == [1] * len(sent)
