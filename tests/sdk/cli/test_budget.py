"""`tacho budget set`: what is not said of a budget stays as it is."""

from __future__ import annotations

import pytest

from tachograph.cli import budget
from tachograph.cli.problem import Problem

WAS = {
    "name": "acme", "limit": 20, "unit": "usd", "scope": "customer", "target": "acme",
    "window": "rolling", "rolling_s": 60, "action": "ask", "version": 3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "lost"),
    [
        ({}, set()),
        ({"action": "stop"}, set()),
        ({"window": "rolling"}, set()),
        ({"window": "day"}, {"rolling_s"}),
        ({"scope": "agent"}, {"target", "window", "rolling_s"}),
        ({"scope": "customer", "target": "other"}, set()),
    ],
)
def test_a_change_keeps_what_it_does_not_name(changed, lost):
    """A new amount must not turn the budget of one customer into that of the whole project."""
    kept = {name: value for name, value in WAS.items() if name not in {*lost, "version"}}
    assert budget._with_changes(WAS, changed) == kept | changed


def test_an_amount_is_changed_in_the_running_collector(recorded):
    made = ["budget", "set", "acme-day", "--usd", "20", "--scope", "customer", "--target", "acme"]
    assert recorded(*made, "--window", "day").code == 0
    (now,) = recorded("budget", "set", "acme-day", "--usd", "25", "--json").json["budgets"]
    assert (now["limit"], now["scope"], now["target"], now["window"]) == (25, "customer", "acme", "day")  # fmt: skip
    (now,) = recorded("budget", "set", "acme-day", "--action", "warn", "--json").json["budgets"]
    assert (now["limit"], now["action"]) == (25, "warn")
    assert recorded("budget", "set", "another").code == 2
    assert recorded("budget", "rm", "acme-day").code == 0


def test_a_name_that_no_budget_can_have_is_told_as_missing():
    with pytest.raises(Problem, match="no name has a slash"):
        budget._of("a/b")
    assert budget._of("50% off?").endswith("/50%25%20off%3F")
