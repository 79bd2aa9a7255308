"""A process's shares of budgets, when what answers is no collector, and when there are many accounts."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from tachograph import _budget_leases, _budget_ledger, _shared_budgets
from tachograph._budget_leases import Office
from tachograph._budget_ledger import Ledger, left_behind
from tachograph._budget_state import Call, Shortage
from tachograph_collector.control.api_budgets import Stands
from tachograph_schemas.budgets import Rule
from tachograph_schemas.control import Answer
from tachograph_schemas.control_client import ControlClient

RULE = Rule("day", 5.0, unit="model_calls", scope="customer", window="day")
FINE = {"granted": 2, "used": 0, "spent": 2, "limit": 5, "expires_s": 60}


class Line(ControlClient):
    """A line on which the text says what is answered; ``LEASE`` stands for the one that was asked for."""

    def __init__(self, text: str) -> None:
        super().__init__("http://127.0.0.1:9")
        self.text = text

    def call(self, method, path, body=None, **_options):
        Stands.model_validate(body)
        lease = body["leases"][0]["lease"]
        return Answer(200, {"leases": json.loads(self.text.replace("LEASE", lease))})


def one(**changes):
    return json.dumps([{"lease": "LEASE"} | FINE | changes])


@pytest.mark.parametrize(
    "text",
    [
        "5", "null", "[]", "[null]", "[[]]", "[{}]", json.dumps([FINE]), one(lease="other"), one(granted="2"),
        one(granted=None), one(granted=-1), one(used=float("nan")), one(spent=float("inf")), one(expires_s=True),
        one(granted=10**400), one(granted=[1]),
    ],
)  # fmt: skip
def test_an_answer_without_sense_is_silence_and_never_a_fault_of_the_agent(text):
    office = Office(Line(text))
    found = office.account(RULE, "c").reserve(Call("model", {"model_calls": 1.0}))
    assert isinstance(found, Shortage)
    assert office.is_silent
    office.close()


@pytest.mark.parametrize("unit", ["usd", "model_calls"])
def test_looking_whether_there_is_room_takes_none_of_it(unit):
    """Asynchronous code looks before it asks people; the call itself holds and counts."""
    office = Office(Line(one()))
    account = office.account(replace(RULE, unit=unit), "c")
    held = account.reserve(Call("model", {unit: 1.0}))
    account.settle(held, {"usd": 1.0})
    for _ in range(5):
        assert account.short(Call("model", {unit: 0.9})) is None
    assert account.short(Call("model", {unit: 1.1})) is not None
    assert not isinstance(account.reserve(Call("model", {unit: 0.9})), Shortage)
    office.close()


def test_accounts_that_nobody_uses_any_more_are_let_go_of(monkeypatch):
    office = Office(Line(one()))
    used = office.account(RULE, "spends")
    assert used.reserve(Call("model", {"model_calls": 1.0})) == {}
    for number in range(200):
        office.account(RULE, f"customer {number}")
    office._forget_idle()
    assert office.account(RULE, "customer 7") is office.account(RULE, "customer 7")
    assert len(office._accounts) == 201
    monkeypatch.setattr(_budget_leases, "_IDLE_S", -1.0)
    office._forget_idle()
    assert list(office._accounts.values()) == [used], "what was spent is to be told first"
    office.close()


@pytest.fixture
def connected(tmp_path):
    """A process that has just begun, with a collector that has not said anything."""
    _shared_budgets.connect(Line("[]"), tmp_path)
    yield tmp_path
    _shared_budgets.connect(None)


def test_a_slow_collector_is_waited_for_longer_where_nothing_is_known(connected):
    """Else the first processes of a machine spend as if there were no budgets."""
    assert _shared_budgets._patience_s() == _shared_budgets.FIRST_WORD_EVER_S
    _shared_budgets.hear([])
    assert _shared_budgets._patience_s() == _shared_budgets.FIRST_WORD_S
    _shared_budgets.hear([RULE.as_dict()])
    _shared_budgets.connect(Line("[]"), connected)
    assert _shared_budgets.in_force == ()
    _shared_budgets.hear_nothing()
    assert _shared_budgets.in_force == (RULE,)


def test_what_was_used_is_read_by_whoever_comes_after_and_by_nobody_before(tmp_path):
    """Held for a call that was under way counts as used. After a loss of power the file may be old: it is not believed."""
    ledger = Ledger(tmp_path, "line")
    slots = [ledger.open(name * 32, 0.0, 0.0) for name in "abc"]
    ledger.note(slots[0], 1.5, 0.25)
    ledger.note(slots[1], 3.0, float("nan"))
    ledger.free(slots[2])
    assert not list(left_behind(tmp_path, "line")), "its owner lives"
    ledger.close(told=False)
    ledger.note(slots[0], 1.5, 0.25)
    assert not list(left_behind(tmp_path, "another"))
    assert [left.used for left in left_behind(tmp_path, "line")] == [{"a" * 32: 1.75}]
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"0" * 36 + path.read_bytes()[36:])
    (left,) = left_behind(tmp_path, "line")
    assert left.used == {}
    left.remove()
    assert not list(tmp_path.iterdir())


def test_a_forked_child_notes_nothing_in_the_ledger_of_its_parent(tmp_path):
    """What is held around the fork is settled in both; the parent's account of it is what counts."""
    ledger = Ledger(tmp_path, "line")
    slot = ledger.open("a" * 32, 0.0, 0.0)
    ledger.note(slot, 1.0, 0.0)
    child = os.fork()
    if not child:
        ledger.leave_to_parent()
        ledger.note(slot, 9.0, 9.0)
        ledger.free(slot)
        os._exit(0 if ledger.open("b" * 32, 0.0, 0.0) == -1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not list(left_behind(tmp_path, "line")), "the parent lives"
    ledger.close(told=False)
    assert [left.used for left in left_behind(tmp_path, "line")] == [{"a" * 32: 1.0}]


class Books(ControlClient):
    """A collector that believes what it is told, as far as its API lets anybody tell it."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9")
        self.told = {}

    def call(self, method, path, body=None, **_options):
        asked = Stands.model_validate(body).leases
        self.told |= {each.lease: each for each in asked}
        return Answer(
            200, {"leases": [{"lease": e.lease} | FINE | {"used": e.used} for e in asked]}
        )


def test_many_accounts_and_long_names_of_customers_are_told(tmp_path):
    """One request that the collector refuses would be silence to every budget of the process."""
    books = Books()
    office = Office(books, tmp_path)
    accounts = [office.account(RULE, f"customer {number}") for number in range(1_100)]
    accounts += [office.account(RULE, "c" * 500 + end) for end in "ab"]
    for account in accounts:
        assert not isinstance(account.reserve(Call("model", {"model_calls": 1.0})), Shortage)
    office.stand(accounts)
    assert not office.is_silent
    assert len({(each.account, each.used) for each in books.told.values()}) == 1_102
    office.close()
    assert all(each.done and each.used == 1.0 for each in books.told.values())
    assert not list(tmp_path.iterdir())


def test_what_a_call_under_way_holds_at_the_end_is_told_as_used(tmp_path):
    books = Books()
    office = Office(books, tmp_path)
    office.account(replace(RULE, unit="usd"), "c").reserve(Call("model", {"usd": 0.5}))
    office.close()
    office.close()
    assert [each.used for each in books.told.values()] == [0.5]


def test_what_lies_in_the_home_and_is_no_ledger_is_passed_by(tmp_path):
    """A pipe is not waited for, a link not followed, numbers that are none are not told, and there is an end to what is kept."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"x")
    home = tmp_path / "home"
    home.mkdir()
    os.mkfifo(home / "leases-line-a-pipe")
    (home / "leases-line-b-link").symlink_to(outside)
    (home / "leases-line-c-place").mkdir()
    (home / "leases-line-d-cut").write_bytes(b"cut")
    ledger = Ledger(home, "line")
    ledger.open("a" * 32, 1e300, 0.0)
    ledger.open("b" * 32, 2.0, 0.5)
    ledger.close(told=False)
    [own] = home.glob(f"leases-line-{os.getpid()}-*")
    found = {left.path.name: left.used for left in left_behind(home, "line")}
    assert found == {"leases-line-a-pipe": {}, "leases-line-d-cut": {}, own.name: {"b" * 32: 2.5}}
    assert outside.read_bytes() == b"x"


def test_where_processes_crash_and_nobody_can_be_told_the_oldest_are_given_up(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(_budget_ledger, "_MOST_LEFT", 3)
    alive = Ledger(tmp_path, "line")
    paths = [tmp_path / f"leases-other-{number}-x" for number in range(5)]
    for age, path in enumerate(paths):
        path.write_bytes(b"left")
        os.utime(path, (1_000 - age, 1_000 - age))
    os.utime(alive._path, (1, 1))
    assert not list(left_behind(tmp_path, "line"))
    assert sorted(tmp_path.glob("leases-*")) == sorted([alive._path, *paths[:3]])
    alive.close(told=True)


def test_a_home_that_cannot_be_written_costs_the_ledger_alone(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    in_the_way = tmp_path / "file"
    in_the_way.write_bytes(b"")
    ledger = Ledger(in_the_way, "line")
    assert ledger.open("a" * 32, 0.0, 0.0) == -1
    ledger.note(-1, 1.0, 1.0)
    ledger.close(told=True)
    assert "noting shares of budgets" in caplog.text
