"""Two people who change one budget, or one rule, at the same time: the second one is told, and loses nothing."""

from __future__ import annotations

import pytest
from collector_process import Collector
from playwright.sync_api import expect

from tachograph_schemas.control import ALERTS, BUDGETS
from tachograph_schemas.control_client import ControlClient

BUDGET = {"name": "day", "limit": 10.0, "unit": "usd", "scope": "project", "window": "day"}
RULE = {"name": "waits", "metric": "approvals_waiting", "critical": 1}


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    running = Collector(tmp_path_factory.mktemp("meanwhile") / "home", dashboard=True).start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def client(collector):
    made = ControlClient(collector.url)
    yield made
    made.call("DELETE", f"{BUDGETS}/day")
    for rule in made.call("GET", f"{ALERTS}/rules").data["rules"]:
        made.call("DELETE", f"{ALERTS}/rules/{rule['id']}")


def put_budget(client, actor, limit, **more):
    body = {"budgets": [BUDGET | {"limit": limit} | more], "actor": actor}
    return client.call("POST", BUDGETS, body)


def put_rule(client, actor, critical, **more):
    body = {"rule": RULE | {"critical": critical}, "actor": actor, **more}
    return client.call("POST", f"{ALERTS}/rules", body)


def budget(client):
    return client.call("GET", f"{BUDGETS}/day").data["rule"]


def rule(client):
    (found,) = client.call("GET", f"{ALERTS}/rules").data["rules"]
    return found


@pytest.mark.parametrize(
    ("put", "now", "limit"), [(put_budget, budget, "limit"), (put_rule, rule, "critical")]
)
def test_a_change_to_another_version_than_was_seen_is_refused(client, put, now, limit):
    """Whoever says nothing of versions, as agents and older clients, changes what is there."""
    assert put(client, "ada", 10, if_version=0)
    seen = now(client)["version"]
    late = put(client, "ben", 20, if_version=0)
    assert late.status == 412
    assert "is there already: by ada" in late.why
    assert put(client, "ada", 15, if_version=seen)
    late = put(client, "ben", 20, if_version=seen)
    assert late.status == 412
    assert "was changed meanwhile: by ada" in late.why
    assert now(client)[limit] == 15
    assert put(client, "ben", 15, if_version=seen), "an answer that was lost: it says so already"
    assert put(client, "ben", 20, if_version=now(client)["version"])
    assert put(client, "an agent", 30)
    assert now(client)[limit] == 30
    assert put(client, "ben", 1, if_version=-1).status == 422


@pytest.mark.parametrize(
    ("put", "gone"), [(put_budget, f"{BUDGETS}/day"), (put_rule, f"{ALERTS}/rules/")]
)
def test_what_was_removed_meanwhile_is_not_made_anew_unseen(client, put, gone):
    put(client, "ada", 10)
    gone += rule(client)["id"] if gone.endswith("/") else ""
    seen = client.call("GET", gone).data
    version = seen.get("version") or seen["rule"]["version"]
    assert client.call("DELETE", gone)
    late = put(client, "ben", 20, if_version=version)
    assert (late.status, "was removed meanwhile" in late.why) == (412, True)
    assert put(client, "ben", 20, if_version=0)


def test_of_several_budgets_all_are_changed_or_none(client):
    put_budget(client, "ada", 10)
    other = BUDGET | {"name": "other", "if_version": 0}
    body = {"budgets": [other, BUDGET | {"limit": 20, "if_version": 0}], "actor": "ben"}
    assert client.call("POST", BUDGETS, body).status == 412
    assert client.call("GET", f"{BUDGETS}/other").status == 404


@pytest.mark.browser
def test_a_budget_that_was_changed_under_the_form(page, collector, client):
    put_budget(client, "ada", 10)
    tab = page.open(f"{collector.instance['dashboard']}/costs")
    tab.locator(".budgets .card").click()
    form = tab.get_by_role("dialog")
    form.get_by_label("Your name").fill("ben")
    form.get_by_label("Your name").press("Enter")
    page.idle()
    limit = form.get_by_label("Limit", exact=True)
    limit.fill("20")
    limit.press("Tab")
    page.idle()
    put_budget(client, "ada", 15)
    form.get_by_role("button", name="Save").click()
    expect(form).to_contain_text("was changed meanwhile: by ada")
    expect(form).to_contain_text("limit: 10.0 → 15.0")
    expect(limit).to_have_value("20")
    assert budget(client)["limit"] == 15
    page.shoot("budget-changed-meanwhile")
    page.idle()
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    assert budget(client)["limit"] == 20


@pytest.mark.browser
def test_a_new_budget_takes_the_place_of_none_whatever_name_is_tried(page, collector, client):
    """What was seen of one name says nothing of another."""
    put_budget(client, "ada", 10)
    assert client.call("POST", BUDGETS, {"budgets": [BUDGET | {"name": "other"}], "actor": "cy"})
    tab = page.open(f"{collector.instance['dashboard']}/costs")
    tab.get_by_role("button", name="New budget").click()
    form = tab.get_by_role("dialog")
    form.get_by_label("Your name").fill("ben")
    form.get_by_label("Your name").press("Enter")
    page.idle()
    form.get_by_label("Limit", exact=True).fill("20")
    form.get_by_label("Limit", exact=True).press("Tab")
    page.idle()
    for name, said in (("day", "is there already: by ada"), ("other", "is there already: by cy")):
        form.get_by_label("Name", exact=True).fill(name)
        form.get_by_label("Name", exact=True).press("Tab")
        page.idle()
        form.get_by_role("button", name="Save").click()
        expect(form).to_contain_text(said)
        page.idle()
    assert client.call("DELETE", f"{BUDGETS}/other")
    form.get_by_role("button", name="Save").click()
    expect(form).to_contain_text("was removed meanwhile")
    page.idle()
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    assert client.call("DELETE", f"{BUDGETS}/other"), "it was made anew"


@pytest.mark.browser
def test_a_rule_that_was_changed_under_the_form(page, collector, client):
    put_rule(client, "ada", 10)
    tab = page.open(f"{collector.instance['dashboard']}/alerts?rule={rule(client)['id']}")
    note = tab.get_by_label("Note")
    note.fill("Somebody has to look.")
    note.press("Control+Enter")
    page.idle()
    put_rule(client, "ada", 15)
    tab.get_by_role("button", name="What would it find now?").click()
    page.idle()
    tab.get_by_role("button", name="Save").click()
    expect(tab.get_by_text("was changed meanwhile: by ada")).to_be_visible()
    expect(tab.get_by_text("critical: 10.0 → 15.0")).to_be_visible()
    expect(tab.get_by_text("firing:")).to_have_count(0)
    expect(note).to_have_value("Somebody has to look.")
    assert rule(client)["note"] == ""
    page.shoot("rule-changed-meanwhile")
    page.idle()
    tab.get_by_role("button", name="Save").click()
    expect(tab.get_by_text("Saved.")).to_be_visible()
    assert (rule(client)["note"], rule(client)["critical"]) == ("Somebody has to look.", 10)
