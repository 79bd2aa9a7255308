"""Writers of the control database wait for each other, and time goes on meanwhile: what was true may not be any more."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tachograph_collector.control import approvals, leases
from tachograph_collector.control.approvals import Approvals, ConflictError, Request, Said
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.budgets import Budgets
from tachograph_collector.control.database import Database, now_ns
from tachograph_collector.control.leases import Ask, Leases
from tachograph_schemas.budgets import rule_from

NS = 10**9
PARAMS = approvals.params_hash("{}")


class Queue(Database):
    """A database before whose writers others stand, who take ``wait_s``, by the clock ``at_ns``."""

    at_ns = now_ns()
    wait_s = 0

    def write(self):
        self.at_ns += self.wait_s * NS
        return super().write()


@pytest.fixture
def queue(tmp_path, monkeypatch):
    database = Queue(f"sqlite:///{tmp_path / 'control.db'}")
    for module in (approvals, leases):
        monkeypatch.setattr(module, "now_ns", lambda: database.at_ns)
    yield database
    database.close()


def test_a_request_that_expires_while_its_decision_waits_is_not_approved(queue, tmp_path):
    """The agent was told that nobody decided, and has gone on: the record must not say otherwise."""
    inbox = Approvals(queue, Audit(queue, tmp_path / "head"), lambda _: None)
    asked = Request("k", "", "", "a", "refund", "{}", None, "", "", "", 1, timeout_s=30)
    first, second = (
        inbox.ask(Request(*({**_fields(asked), "idempotency_key": key}.values())), "p", "", "a")
        for key in ("one", "two")
    )
    queue.wait_s = 20
    found = inbox.decide(first["id"], "p", Said("allow", "maria", "", PARAMS), "maria")
    assert found["status"] == "approved"
    with pytest.raises(ConflictError, match="expired"):
        inbox.decide(second["id"], "p", Said("allow", "maria", "", PARAMS), "maria")
    found = inbox.get(second["id"], "p")
    assert (found["status"], found["decisions"]) == ("expired", [])
    assert found["decided_ns"] == found["expires_ns"]


def _fields(request: Request) -> dict:
    return {name: getattr(request, name) for name in Request.__slots__}


def test_whoever_waits_over_midnight_gets_a_share_of_the_new_day(queue, tmp_path):
    queue.at_ns = int(datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC).timestamp()) * NS
    rule = rule_from({"name": "day", "limit": 10, "window": "day"})
    Budgets(queue, Audit(queue, tmp_path / "head"), str).set("p", [rule], "maria", prune=False)
    shares = Leases(queue)
    (spent,) = shares.stand("p", "h", [Ask("old", "day", "", 10, 0, done=False)])
    assert spent.spent == 10
    queue.wait_s = 8
    (given,) = shares.stand("p", "h", [Ask("new", "day", "", 0, 5, done=False)])
    assert given.granted >= 5
    (account,) = shares.accounts("p", rule)
    assert account.held == given.granted
