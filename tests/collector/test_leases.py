"""Shares of budgets over the real control database: never more out than there is, whoever asks in which order."""

from __future__ import annotations

import contextlib
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, update

from postgres_server import postgres
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.budgets import Budgets
from tachograph_collector.control.database import Database, now_ns
from tachograph_collector.control.leases import Ask, Leases, fold
from tachograph_collector.control.tables import LEASES
from tachograph_schemas.budgets import BudgetError, rule_from, rules_from, window_at

DAY = {"name": "day", "limit": 10, "unit": "usd", "window": "day"}
NS = 10**9


@pytest.fixture
def kept(tmp_path):
    """Budgets and leases of one database, and what was said to have changed."""
    database = Database(f"sqlite:///{tmp_path / 'control.db'}")
    audit = Audit(database, tmp_path / "audit.head")
    changed = []
    yield Budgets(database, audit, changed.append), Leases(database), audit, changed, database
    database.close()


def ask(lease: str, *, used: float = 0, need: float = 0, done: bool = False, budget: str = "day"):
    return Ask(lease, budget, "", used, need, done)


def test_what_is_out_and_used_never_passes_the_limit(kept):
    """Six holders in any order, with requests sent twice and answers that never arrived."""
    budgets, leases, *_ = kept
    budgets.set("default", [rule_from(DAY)], "maria", prune=False)
    chance = random.Random(3)
    granted = dict.fromkeys("abcdef", 0.0)
    used = dict.fromkeys("abcdef", 0.0)
    for _ in range(80):
        name = chance.choice("abcdef")
        used[name] = min(used[name] + chance.random() * 0.2, granted[name])
        request = ask(name, used=used[name], need=chance.random() * 0.3)
        leases.stand("default", "h", [request])
        (given,) = leases.stand("default", "h", [request])
        granted[name] = given.granted
        assert sum(granted.values()) <= 10 + 1e-6
        assert given.granted >= used[name] - 1e-9
    assert sum(used.values()) > 1


def test_a_holder_that_falls_silent_has_used_all_and_one_that_ends_gives_back(kept):
    budgets, leases, _, _, database = kept
    (rule,) = budgets.set("default", [rule_from(DAY)], "maria", prune=False)
    leases.stand("default", "h", [ask("gone", need=4), ask("done", need=4)])
    leases.stand("default", "h", [ask("done", used=1, done=True)])
    with database.write() as connection:
        connection.execute(update(LEASES).where(LEASES.c.id == "gone").values(expires_ns=1))
    (account,) = leases.accounts("default", rule)
    assert account.spent >= 5
    assert account.held == 0
    (given,) = leases.stand("default", "h", [ask("late", need=7)])
    assert given.granted == 0
    # It was not dead, only slow: what it says now is what counts.
    leases.stand("default", "h", [ask("gone", used=0.5, done=True)])
    (given,) = leases.stand("default", "h", [ask("late", need=7)])
    assert given.granted >= 7


def test_projects_and_accounts_are_apart_and_refusals_are_seen(kept):
    budgets, leases, _, changed, _ = kept
    for project in ("ours", "theirs"):
        budgets.set(project, [rule_from(DAY)], "maria", prune=False)
    assert changed == ["ours", "theirs"]
    rule = budgets.in_force("ours")[0]
    leases.stand("ours", "h", [ask("a", need=10)])
    (theirs,) = leases.stand("theirs", "h", [ask("a", need=10)])
    assert theirs.granted == 10
    (no,) = leases.stand("ours", "h", [ask("b", need=1)])
    assert no.granted == 0
    assert leases.accounts("ours", rule)[0].refused_ns
    other = rule_from(DAY | {"name": "other"})
    everything = {rule.name: leases.accounts("ours", rule), other.name: []}
    assert leases.all_accounts("ours", [rule, other]) == everything
    assert leases.all_accounts("nobody's", [rule]) == {rule.name: []}
    # A higher limit forgets the refusal.
    (rule,) = budgets.set("ours", [rule_from(DAY | {"limit": 20})], "maria", prune=False)
    assert rule.version == 2
    assert leases.accounts("ours", rule)[0].refused_ns is None


def test_versions_are_kept_and_audited(kept):
    budgets, _, audit, changed, _ = kept
    budgets.set("default", [rule_from(DAY)], "maria", prune=False)
    budgets.set("default", [rule_from(DAY)], "ben", prune=False)
    assert len(changed) == 1, "the same again is no change"
    other = rule_from({"name": "other", "limit": 1})
    budgets.set("default", [other], "ben", prune=True)
    assert [rule.name for rule in budgets.in_force("default")] == ["other"]
    versions = [(each.version, each.actor) for each in budgets.versions("default", "day")]
    assert versions == [(2, "ben"), (1, "maria")]
    assert not budgets.remove("default", "day", "ben")
    entries = [(each.action, each.actor) for each in audit.entries("default", 10)]
    assert entries == [("budget.remove", "ben"), ("budget.set", "ben"), ("budget.set", "maria")]
    assert audit.verify().sound


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"limit": "5"}, "number"),
        ({"limit": float("nan")}, "number"),
        ({"limit": -1}, "between"),
        ({"unit": "eur"}, "unit"),
        ({"scope": "run", "window": "day"}, "its window is `run`"),
        ({"unit": "wall_s"}, "its window is `run`"),
        ({"window": "rolling"}, "rolling_s"),
        ({"target": "x"}, "no target"),
        ({"usd": 5}, "not known"),
        ({"name": ""}, "name"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused_with_a_sentence(wrong, says):
    with pytest.raises(BudgetError, match=says):
        rules_from({"budgets": [DAY | wrong]})


def test_windows_begin_where_people_expect():
    at = 1_795_289_730 * NS  # Saturday 2026-11-21 19:35:30 UTC
    hours = {"hour": 1, "day": 24, "week": 168, "month": 720}
    for window, length in hours.items():
        found = window_at(rule_from(DAY | {"window": window}), at)
        assert found.since_ns <= at < found.ends_ns
        assert (found.ends_ns - found.since_ns) // NS == length * 3600
    rolling = window_at(rule_from(DAY | {"window": "rolling", "rolling_s": 3600}), at)
    assert rolling.since_ns <= at - 3600 * NS
    assert at - rolling.since_ns < 3661 * NS


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Kiritimati", "Asia/Kolkata"])
@pytest.mark.parametrize(
    "window",
    [{"window": each} for each in ("hour", "day", "week", "month")],
    ids=lambda w: w["window"],
)
def test_windows_follow_each_other_without_a_gap_wherever_the_collector_stands(
    zone, window, monkeypatch
):
    """Over a leap day, ends of months and of the year, and both changes of the clocks in 2026."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    rule = rule_from(DAY | window)
    try:
        for day in (
            "2024-02-29",
            "2025-12-31",
            "2026-03-08",
            "2026-03-29",
            "2026-10-25",
            "2026-11-01",
        ):
            noon = int(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp())
            at = (noon - 86_400) * NS
            while at < (noon + 86_400) * NS:
                found, last = window_at(rule, at), window_at(rule, at + 30 * 60 * NS)
                assert (
                    found.since_ns == found.bucket_ns <= at < found.ends_ns == found.bucket_ends_ns
                )
                assert window_at(rule, found.ends_ns - 1) == found
                assert window_at(rule, found.ends_ns).since_ns == found.ends_ns
                assert last.since_ns in {found.since_ns, found.ends_ns}
                assert datetime.fromtimestamp(found.since_ns / NS, UTC).minute == 0
                at += 30 * 60 * NS
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Of either kind of database."""
    place = (
        postgres() if request.param == "postgresql" else nullcontext(f"sqlite:///{tmp_path}/c.db")
    )
    with place as found:
        yield found


@pytest.fixture
def database(url):
    opened = Database(url)
    yield opened
    opened.close()


def number_of(connection) -> int:
    return connection.execute(select(func.count()).select_from(LEASES)).scalar_one()


def test_leases_given_back_long_ago_become_one_and_count_as_before(database, tmp_path):
    budgets = Budgets(database, Audit(database, tmp_path / "head"), str)
    leases = Leases(database)
    (rule,) = budgets.set("default", [rule_from(DAY)], "maria", prune=False)
    for number in range(30):
        lease = f"{number:016x}"
        leases.stand("default", "h", [ask(lease, need=0.1)])
        leases.stand("default", "h", [ask(lease, used=0.1, done=True)])
    leases.stand("default", "h", [ask("open", need=1)])
    (before,) = leases.accounts("default", rule)
    with database.write() as connection:
        fold(connection, 0)
        assert number_of(connection) == 31, "none of them is old enough"
        fold(connection, now_ns() + NS)
        assert number_of(connection) in {2, 3}, "an hour may have begun meanwhile"
    (after,) = leases.accounts("default", rule)
    assert after.spent == pytest.approx(before.spent)
    assert after.held == pytest.approx(before.held)
    # The last word comes again, late.
    leases.stand("default", "h", [ask(f"{5:016x}", used=0.1, done=True)])
    assert leases.accounts("default", rule) == [after]


def test_collectors_of_one_database_give_out_no_more_than_there_is_together(url, tmp_path):
    """Six holders at two collectors at once, every request sent twice, half of the answers never looked at."""
    with contextlib.ExitStack() as stack:
        databases = [Database(url), Database(url)]
        for each in databases:
            stack.callback(each.close)
        audit = Audit(databases[0], tmp_path / "head")
        (rule,) = Budgets(databases[0], audit, str).set(
            "default", [rule_from(DAY)], "maria", prune=False
        )

        def spend(number: int) -> float:
            leases, chance = Leases(databases[number % 2]), random.Random(number)
            used = granted = 0.0
            for _ in range(12):
                used = min(used + chance.random() * 0.5, granted)
                request = ask(f"{number:016x}", used=used, need=chance.random())
                leases.stand("default", "h", [request])
                (given,) = leases.stand("default", "h", [request])
                if chance.random() < 0.5:
                    granted = given.granted
            return used

        with ThreadPoolExecutor(6) as pool:
            used = sum(pool.map(spend, range(6)))
        (account,) = Leases(databases[1]).accounts("default", rule)
        assert account.spent + account.held <= 10 + 1e-6
        assert account.spent >= used - 1e-6
        assert used > 1


def test_a_clock_that_jumps_gives_out_no_more_than_there_is(kept, monkeypatch):
    """Within a window: what a holder had when the clock jumped over its time is not given out again."""
    budgets, leases, *_ = kept
    noon = 1_795_262_400 * NS
    clock = [noon]
    monkeypatch.setattr("tachograph_collector.control.leases.now_ns", lambda: clock[0])
    budgets.set("default", [rule_from(DAY)], "maria", prune=False)
    chance = random.Random(5)
    granted = dict.fromkeys("abcdef", 0.0)
    used = dict.fromkeys("abcdef", 0.0)
    for _ in range(120):
        clock[0] = noon + chance.randint(-11 * 3600, 11 * 3600) * NS
        name = chance.choice("abcdef")
        used[name] = min(used[name] + chance.random() * 0.3, granted[name])
        (given,) = leases.stand("default", "h", [ask(name, used=used[name], need=chance.random())])
        granted[name] = given.granted
        assert sum(granted.values()) <= 10 + 1e-6
    assert sum(used.values()) > 1
