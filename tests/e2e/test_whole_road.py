"""The whole road: `tacho up`, a demo agent, the browser. What the pages say is what the agent did."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from collector_process import Collector
from playwright.sync_api import expect


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    collector = Collector(tmp_path_factory.mktemp("road") / "home", dashboard=True).start()
    yield collector
    assert collector.stop() == 0


def tacho(up: Collector, *words: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "tachograph.cli", *words],
        env=up.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def support(up) -> str:
    """The id of a recorded run of the support agent."""
    (recorded,) = json.loads(tacho(up, "demo", "support", "--json"))
    assert recorded["outcome"] == "success"
    up.until_ended(recorded["run_id"])
    return recorded["run_id"]


def test_the_account_says_what_the_support_agent_did(up, support):
    shown = json.loads(tacho(up, "show", support, "--json"))
    run, account = shown["run"], shown["account"]
    sections = {
        key: " | ".join(line["text"] for line in lines)
        for key, lines in account["sections"].items()
    }
    assert (run["outcome"], run["spans_made"]) == ("success", run["span_count"])
    assert run["cost_usd"] > 0
    assert run["unpriced_calls"] == 0
    assert "T-90412" in sections["trigger"]
    assert "Halvorsen" in sections["trigger"]
    assert "lookup_customer" in sections["read"]
    assert "lookup_order" in sections["read"]
    assert "refund" in sections["tools"]
    assert "refused" in sections["decided"]
    assert sections["changed"].count("Carried out refund(") == 1, "the money moved once"
    assert "289" in sections["changed"], "the blocked refund is told as blocked"
    assert "Mara Lindqvist" in sections["approved"]
    assert "successfully" in sections["stopped"]
    assert "$" in sections["cost"]
    assert not account["warnings"]


def test_the_other_demo_agents_are_told_as_they_went(up):
    recorded = {
        row["agent"]: row for row in json.loads(tacho(up, "demo", "planner", "loop", "--json"))
    }
    for each in recorded.values():
        up.until_ended(each["run_id"])
    planner = json.loads(tacho(up, "show", recorded["planner"]["run_id"], "--json"))
    assert planner["run"]["outcome"] == "success"
    decided = " | ".join(line["text"] for line in planner["account"]["sections"]["decided"])
    assert "fail" in decided
    assert "epaired" in decided

    loop = json.loads(tacho(up, "show", recorded["loop"]["run_id"], "--json"))
    assert loop["run"]["outcome"] == "stopped"
    assert "budget" in loop["run"]["stop_reason"]
    stopped = " | ".join(line["text"] for line in loop["account"]["sections"]["stopped"])
    assert "budget" in stopped


@pytest.mark.browser
def test_a_person_finds_the_run_and_reads_it(up, support, page):
    page.open(up.instance["dashboard"])
    row = page.page.get_by_text("T-90412").first
    row.click()
    page.page.wait_for_selector(".tree[data-ready]")
    assert support in page.page.url
    story = page.page.locator("body")
    expect(story).to_contain_text("Finished successfully")
    expect(story).to_contain_text("Mara Lindqvist (scripted) approved")
    page.page.get_by_role("treeitem", name="refund within policy").first.click()
    expect(page.page.locator("body")).to_contain_text("Conical burr grinder K6 was delivered")


@pytest.mark.browser
def test_a_run_can_be_opened_by_its_link(up, support, page):
    page.open_run(up.instance["dashboard"], support)
    expect(page.page.locator("body")).to_contain_text("Settle ticket T-90412")


def test_doctor_is_content(up, support):
    report = json.loads(tacho(up, "doctor", "--json"))
    assert "fail" not in json.dumps(report)
