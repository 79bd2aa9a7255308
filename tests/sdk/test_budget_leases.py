"""A process's shares of budgets, when what answers is no collector, and when there are many accounts."""

from __future__ import annotations

import json

import pytest

from tachograph import _budget_leases
from tachograph._budget_leases import Office
from tachograph._budget_state import Shortage
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
    found = office.account(RULE, "c").reserve("model", {"model_calls": 1.0})
    assert isinstance(found, Shortage)
    assert office.is_silent
    office.close()


def test_accounts_that_nobody_uses_any_more_are_let_go_of(monkeypatch):
    office = Office(Line(one()))
    used = office.account(RULE, "spends")
    assert used.reserve("model", {"model_calls": 1.0}) == {}
    for number in range(200):
        office.account(RULE, f"customer {number}")
    office._forget_idle()
    assert office.account(RULE, "customer 7") is office.account(RULE, "customer 7")
    assert len(office._accounts) == 201
    monkeypatch.setattr(_budget_leases, "_IDLE_S", -1.0)
    office._forget_idle()
    assert list(office._accounts.values()) == [used], "what was spent is to be told first"
    office.close()
