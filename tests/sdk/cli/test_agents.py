"""`tacho agents`."""

import pytest

from tachograph.cli.terminal import cells


def test_agents_lists_every_agent_with_its_health(recorded):
    result = recorded("agents", "--width", "160")
    assert (result.code, result.err) == (0, "")
    heading, *rows = result.out.splitlines()
    assert heading.split()[:3] == ["AGENT", "RUNS", "OK"]
    assert {row.split()[0]: row.split()[1:4] for row in rows} == {
        "support": ["2", "100", "%"],
        "nightly": ["1", "0", "%"],
    }


@pytest.mark.parametrize("width", [40, 60, 100, 160])
def test_agents_fits_the_width_it_is_given(recorded, width):
    for words in ([], ["support"]):
        out = recorded("agents", *words, "--width", str(width)).out
        assert max(map(cells, out.splitlines())) <= width


def test_one_agent_tells_its_level_and_what_to_add_next(recorded):
    out = recorded("agents", "nightly").out
    assert "Runs                       1, 0 % succeeded (1 failed, 0 stopped, 0 interrupted)" in out
    assert "Harness level 0: Script" in out
    assert out.rstrip().endswith("@tacho.tool")


def test_agents_as_json(recorded):
    rows = {row["agent"]: row for row in recorded("agents", "--json").json}
    assert rows["support"]["success_rate"] == 1.0
    assert rows["nightly"]["cost_per_success_usd"] is None
    one = recorded("agents", "support", "--json").json
    assert one["runs"] == 2
    assert set(one["maturity"]) == {"level", "name", "runs", "signs", "layers", "next"}
    assert [version["runs"] for version in one["versions"]] == [2]


def test_an_agent_that_did_not_run_is_said(recorded):
    result = recorded("agents", "nobody")
    assert result.code == 1
    assert "has not run in this time" in result.err
