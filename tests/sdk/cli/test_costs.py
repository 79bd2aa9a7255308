"""`tacho costs`."""

import pytest

from tachograph.cli.terminal import cells


def test_costs_by_agent_with_what_was_lost(recorded):
    """The same figures as the page of costs."""
    shown = recorded("costs", "--width", "160")
    assert (shown.code, shown.err) == (0, "")
    heading, *_ = shown.out.splitlines()
    assert heading.split()[:3] == ["AGENT", "RUNS", "MODELS"]
    told = recorded("costs", "--json").json
    assert {row["key"]: row["runs"] for row in told["groups"]} == {"support": 2, "nightly": 1}
    assert set(told["lost"]) >= {"retried_usd", "saved_usd", "odd_calls", "cache_missed_usd"}


@pytest.mark.parametrize("by", ["agent", "step"])
def test_costs_fit_a_narrow_terminal(recorded, by):
    out = recorded("costs", "--by", by, "--width", "44").out
    assert out.startswith(by.upper())
    assert max(map(cells, out.splitlines())) <= 44
