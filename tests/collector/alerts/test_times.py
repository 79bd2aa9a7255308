"""Times in which nobody is told, acknowledgements, digests; over a real control database and a real engine."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

import alert_workers
from otlp import Trace
from tachograph_collector.alerts import evaluator, lease
from tachograph_collector.alerts.book import every
from tachograph_collector.alerts.control_figures import figures
from tachograph_collector.alerts.digests import last_hour
from tachograph_collector.alerts.mutes import Window
from tachograph_collector.alerts.rules import Rule
from tachograph_collector.alerts.service import Alerts
from tachograph_collector.alerts.states import Round
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database
from tachograph_collector.control.tables import APPROVALS
from tachograph_collector.control.tables_alerts import DIGESTS, OUTBOX
from tachograph_schemas.store import StoreError

PROJECT = "default"
DAY_NS = 86_400 * 10**9
INBOX = Rule(
    name="inbox", metric="approvals_waiting", group_by="agent", critical=1, targets=["team"]
)


@pytest.fixture
def alerts(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'control.db'}")
    audit = Audit(database, tmp_path / "audit.head")
    made = Alerts(database, audit, dsn=f"chdb://{tmp_path / 'data'}", interval_s=1, allowed=())
    made.targets.put(PROJECT, "team", "https://example.com/x", "test")
    yield made
    database.close()


def waits(alerts: Alerts, *agents: str) -> None:
    with alerts.database.write() as connection:
        connection.execute(APPROVALS.delete())
        if agents:
            connection.execute(
                APPROVALS.insert(), [alert_workers.request_of(agent) for agent in agents]
            )


def told(alerts: Alerts) -> list[str]:
    """The titles that have been put into the outbox, the oldest first."""
    return [row["title"] for row in reversed(alerts.outbox.listed(PROJECT, 100))]


def kinds(alerts: Alerts) -> list[tuple[str, str]]:
    return [(row["kind"], row["muted"]) for row in reversed(alerts.history.listed(PROJECT, 100))]


def test_rules_that_take_longer_than_a_term_are_settled_unless_another_collector_looks(tmp_path):
    """Hundreds of rules, or one over a month: a collector that is alone must not lose its turn for being slow."""
    database = Database(f"sqlite:///{tmp_path / 'control.db'}")
    audit = Audit(database, tmp_path / "audit.head")
    quick = {"interval_s": 1e-6, "term_s": 1e-6, "allowed": ()}
    slow, other = (
        Alerts(database, audit, dsn=f"chdb://{tmp_path / 'data'}", **quick) for _ in range(2)
    )
    for number in range(20):
        slow.book.put(PROJECT, INBOX.model_copy(update={"name": f"inbox {number}"}), "test")
    waits(slow, "billing", "shop")
    assert slow.evaluator.look() == 40
    waits(slow)
    # While the first one measures, the second takes over: what the first found is not written.
    with database.read() as connection:
        rounds = [Round(kept, []) for kept in every(connection)]
    assert other.evaluator.look() == 40
    assert slow.evaluator._settle(rounds) is None
    database.close()


def test_collectors_that_are_slower_than_a_term_do_not_take_turns_for_ever(tmp_path, monkeypatch):
    """Each takes over while the other one measures, so both find in vain; until a term is as long as that takes."""
    database = Database(f"sqlite:///{tmp_path / 'control.db'}")
    audit = Audit(database, tmp_path / "audit.head")
    given = {"dsn": "", "interval_s": 1, "term_s": 5, "allowed": ()}
    one, other = (Alerts(database, audit, **given) for _ in range(2))
    one.book.put(PROJECT, INBOX, "test")
    waits(one, "billing")
    clock = [time.time_ns()]
    monkeypatch.setattr(lease, "now_ns", lambda: clock[0])

    def seven_seconds_in_which_the_other_one_looks(database, kept):
        clock[0] += 7 * 10**9
        other.evaluator._lease.take()
        return figures(database, kept)

    monkeypatch.setattr(evaluator, "figures", seven_seconds_in_which_the_other_one_looks)
    found = []
    for _ in range(3):
        found.append(one.evaluator.look())
        one, other = other, one
    assert found == [0, 0, 1]
    database.close()


def test_what_needs_no_engine_is_told_while_there_is_none(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'control.db'}")
    away = "http://tacho:x@127.0.0.1:9/default"
    made = Alerts(database, Audit(database, tmp_path / "head"), dsn=away, interval_s=1, allowed=())
    made.book.put(PROJECT, Rule(name="a cost", metric="cost_usd", warning=1), "test")
    made.book.put(PROJECT, INBOX, "test")
    waits(made, "billing")
    with pytest.raises(StoreError):
        made.evaluator.look()
    assert kinds(made) == [("fires", "")]
    database.close()


def test_in_a_maintenance_window_nobody_is_told_and_afterwards_what_lasts_is(alerts):
    now_ns = time.time_ns()
    window = {
        "name": "night",
        "starts_ns": now_ns - 1,
        "ends_ns": now_ns + DAY_NS,
        "every": "",
        "agents": ["billing"],
    }
    alerts.windows.put(PROJECT, window, "test")
    alerts.book.put(PROJECT, INBOX, "test")
    waits(alerts, "billing", "support")
    assert alerts.evaluator.look() == 2
    assert told(alerts) == ["Critical: inbox (support)"]
    assert ("fires", "maintenance: night") in kinds(alerts)
    assert alerts.windows.remove(PROJECT, "night", "test")
    assert alerts.evaluator.look() == 1
    assert told(alerts)[1:] == ["Critical: inbox (billing)"]
    assert alerts.evaluator.look() == 0


def test_a_snooze_holds_for_one_group_or_all_and_an_acknowledgement_ends_reminders(alerts):
    rule_id = alerts.book.put(PROJECT, INBOX, "test")["id"]
    waits(alerts, "billing", "support")
    assert alerts.evaluator.look() == 2
    assert alerts.book.snooze(PROJECT, rule_id, "billing", time.time_ns() + DAY_NS, "maria")
    for firing in alerts.history.firing(PROJECT):
        if firing["group"] == "support":
            alerts.history.acknowledge(PROJECT, firing["event_id"], "jo", "jo", "on it")
            # The first one counts.
            again = alerts.history.acknowledge(PROJECT, firing["event_id"], "mo", "mo", "")
            assert again["acked_by"] == "jo"
    waits(alerts)
    assert alerts.evaluator.look() == 2
    assert told(alerts)[2:] == ["Recovered: inbox (support)"]
    # What was told and is over is told once the snooze ends.
    assert alerts.book.snooze(PROJECT, rule_id, "billing", 0, "maria")
    assert alerts.evaluator.look() == 1
    assert told(alerts)[3:] == ["Recovered: inbox (billing)"]
    assert alerts.book.snooze(PROJECT, rule_id, "nobody", 0, "maria") is None


def test_a_rule_that_fires_and_is_changed_or_removed_is_closed_and_counts_on(alerts):
    rule_id = alerts.book.put(PROJECT, INBOX, "test")["id"]
    waits(alerts, "billing")
    assert alerts.evaluator.look() == 1
    # The same again is no change.
    assert alerts.book.put(PROJECT, INBOX, "test")["version"] == 1
    changed = INBOX.model_copy(update={"critical": 2.0, "warning": 1.0})
    assert alerts.book.put(PROJECT, changed, "test")["version"] == 2
    assert alerts.evaluator.look() == 1
    assert alerts.book.remove(PROJECT, rule_id, "test")
    assert alerts.evaluator.look() == 0
    assert told(alerts) == [
        f"{head}: inbox (billing)" for head in ("Critical", "Closed", "Warning", "Closed")
    ]
    assert alerts.history.firing(PROJECT) == []


@pytest.mark.parametrize(
    ("every", "at_h", "is_open"),
    [("", 0.5, True), ("", 1, False), ("", 24.5, False), ("day", 24.5, True), ("day", 25, False), ("day", -23.5, False),
     ("week", 24.5, False), ("week", 168.5, True)],
)  # fmt: skip
def test_a_window_comes_back_every_day_or_week(every, at_h, is_open):
    hour_ns = 3_600 * 10**9
    window = Window("1", PROJECT, "w", 1_000 * hour_ns, 1_001 * hour_ns, every, (), "")
    assert window.is_open(int((1_000 + at_h) * hour_ns)) is is_open


@pytest.mark.parametrize(
    ("every", "at_h", "next_h"),
    [("", 0.5, 0), ("", -5, 0), ("", 1, None), ("day", 0.5, 0), ("day", 1, 24), ("day", 24.5, 24), ("day", 25, 48),
     ("week", 2, 168), ("week", 168.5, 168)],
)  # fmt: skip
def test_a_window_says_when_it_is_on_next(every, at_h, next_h):
    hour_ns = 3_600 * 10**9
    window = Window("1", PROJECT, "w", 1_000 * hour_ns, 1_001 * hour_ns, every, (), "")
    found = window.next_ns(int((1_000 + at_h) * hour_ns))
    starts_ns = None if next_h is None else (1_000 + next_h) * hour_ns
    assert found == (None if starts_ns is None else (starts_ns, starts_ns + hour_ns))


def test_the_hour_of_a_digest():
    thursday = datetime(2026, 11, 19, 8, 30, tzinfo=UTC)
    assert last_hour(thursday, "day", 480, 0) == datetime(2026, 11, 19, 8, tzinfo=UTC)
    assert last_hour(thursday, "day", 540, 0) == datetime(2026, 11, 18, 9, tzinfo=UTC)
    assert last_hour(thursday, "week", 480, 3) == datetime(2026, 11, 19, 8, tzinfo=UTC)
    assert last_hour(thursday, "week", 540, 3) == datetime(2026, 11, 12, 9, tzinfo=UTC)
    assert last_hour(thursday, "week", 480, 0) == datetime(2026, 11, 16, 8, tzinfo=UTC)


def test_a_digest_tells_each_period_once(alerts, client, load):
    now = datetime.now(UTC)
    trace = Trace(1)
    # Earlier than the minutes that the digest leaves out.
    trace.start_ns -= 600 * 10**9
    trace.span(
        1,
        "handle",
        tacho__layer="run",
        tacho__run__outcome="success",
        gen_ai__agent__name="billing",
    )
    call = {
        "gen_ai__operation__name": "chat",
        "gen_ai__response__model": "claude-sonnet-4-5",
        "gen_ai__provider__name": "anthropic",
    }
    trace.span(
        2, "chat", 1, gen_ai__usage__input_tokens=1000, gen_ai__usage__output_tokens=100, **call
    )
    load(trace.body())
    # As far from now as can be: its hour does not come while we look.
    minute = (now.hour * 60 + now.minute + 720) % 1_440
    digest = {
        "name": "morning",
        "every": "day",
        "minute": minute,
        "weekday": 0,
        "targets": ["team"],
    }
    alerts.digests.put(PROJECT, digest, "test")
    (listed,) = alerts.digests.listed(PROJECT)
    assert 0 < listed["next_ns"] - time.time_ns() <= DAY_NS
    assert listed["next_ns"] % DAY_NS == minute * 60 * 10**9
    # Looked at, it is not sent.
    preview = alerts.evaluator.preview_digest(PROJECT, "day")
    assert preview[0] == "1 run: 1 succeeded, 0 failed, 0 stopped, 0 went silent."
    # The period under way is the first one.
    assert alerts.evaluator.look() == 0
    with alerts.database.write() as connection:
        connection.execute(update(DIGESTS).values(sent_until_ns=0, minute=(minute + 719) % 1_440))
    assert alerts.evaluator.look() == 1
    assert alerts.evaluator.look() == 0
    with alerts.database.read() as connection:
        (row,) = connection.execute(OUTBOX.select()).all()
    assert "morning: the day until" in row.message
    for said in ("1 run", "1 succeeded", "$0.0045", "1,100 tokens", "billing", "No alert fired"):
        assert said in row.message, row.message
