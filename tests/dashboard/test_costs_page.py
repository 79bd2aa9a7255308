"""The page of costs: its script over a real store, its table in a browser, the course of a budget."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect
from test_pages import sent

from tachograph_dashboard import costs
from tachograph_dashboard.filters import WINDOWS
from tachograph_dashboard.views import burn, course, plots
from tachograph_dashboard.views import costs as views
from tachograph_schemas.costs import CostGroup, CostSlice

NS = 10**9
HOUR_NS = 3_600 * NS
MIDNIGHT_NS = 1_790_553_600 * NS


def open_costs(pages, monkeypatch, **address):
    # Nobody listens there: budgets are the collector's, costs are the store's.
    monkeypatch.setenv("TACHO_ENDPOINT", "http://127.0.0.1:9")
    costs.forget()
    pages.run().switch_page("app_pages/costs.py")
    for name, value in address.items():
        pages.query_params[name] = value
    pages.run()
    assert not pages.exception
    return pages


def test_costs_are_shown_by_agent_and_lead_to_it(pages, monkeypatch):
    """A cost that lacks the price of a call says that it is a lower bound."""
    shown = sent(open_costs(pages, monkeypatch, name="refund-agent"), "sheet")
    row = next(row for row in shown["rows"] if row["open"] == "refund-agent")
    heads = [column["label"] for column in shown["columns"]]
    cells = dict(zip(heads, row["cells"], strict=True))
    assert row["href"] == "/agents?name=refund-agent"
    assert row["chosen"]
    assert [each["open"] for each in shown["rows"] if each["chosen"]] == ["refund-agent"]
    assert cells["Cost"]["text"].endswith("+")
    assert "without a known price" in cells["Cost"]["title"]
    assert cells["Runs"]["text"] == "3"


def test_rows_without_a_page_of_their_own_lead_nowhere():
    """Customers lead to their runs; a model has no page, and neither has who was not named."""
    assert views.leads("customer", "acme") == ("", {"customer": "acme"})
    assert views.leads("model", "haiku") is None
    assert views.leads("agent", "") is None


def test_without_a_collector_costs_are_shown_and_budgets_say_why_not(pages, monkeypatch):
    open_costs(pages, monkeypatch)
    assert any("Budgets cannot be shown" in shown.value for shown in pages.text)
    assert sent(pages, "kpis")["cards"][0]["label"] == "Spent on models"


def state(accounts, course, **rule):
    known = {"limit": 10.0, "unit": "usd", "window": "day", "rolling_s": 0} | rule
    spent = [{"spent": each, "left": 10.0 - each, "forecast": 2 * each} for each in accounts]
    times = {"since_ns": MIDNIGHT_NS, "ends_ns": MIDNIGHT_NS + 24 * HOUR_NS}
    return {"rule": known, "accounts": spent, "burn": course} | times


def test_a_budget_of_one_account_burns_down_to_what_is_left():
    course = [
        [MIDNIGHT_NS, 0.0],
        [MIDNIGHT_NS + 6 * HOUR_NS, 3.0],
        [MIDNIGHT_NS + 12 * HOUR_NS, 4.0],
    ]
    left, ahead = burn.figure(state([4.0], course), UTC)["data"]
    assert left["y"] == [10.0, 7.0, 6.0]
    assert left["x"][1].endswith("T06:00:00")
    assert ahead["y"] == [6.0, 2.0]
    assert burn.told(state([4.0], course)) == "$6 of $10 left"


def test_accounts_with_a_limit_each_show_what_they_spent_together():
    course = [[MIDNIGHT_NS, 0.0], [MIDNIGHT_NS + HOUR_NS, 5.0]]
    spent, ahead = burn.figure(state([3.0, 2.0], course), UTC)["data"]
    assert spent["y"] == [0.0, 5.0]
    assert ahead["y"] == [5.0, 10.0]


def test_a_rolling_window_is_not_drawn_ahead_and_nothing_spent_is_not_drawn():
    course = [[MIDNIGHT_NS, 0.0], [MIDNIGHT_NS + HOUR_NS, 5.0]]
    assert len(burn.figure(state([5.0], course, window="rolling", rolling_s=60), UTC)["data"]) == 1
    assert burn.figure(state([], [[MIDNIGHT_NS, 0.0]]), UTC) is None
    assert burn.figure(state([], []), UTC) is None


@pytest.mark.parametrize("length", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_marks_of_time_are_round_and_no_two_say_the_same(length, zone):
    """Over the hour that the clock is set back as well."""
    until = datetime(2026, 11, 2, 17, 23, 11, tzinfo=UTC)
    axis = plots.time_axis(until - length, until, ZoneInfo(zone))
    assert 2 <= len(axis["tickvals"]) <= 9
    assert len({*axis["ticktext"]}) == len(axis["ticktext"])
    assert all(mark.endswith(":00") for mark in axis["tickvals"])
    assert axis["range"][0] <= axis["tickvals"][0] <= axis["tickvals"][-1] <= axis["range"][1]


def test_the_course_stacks_the_dearest_at_the_bottom_and_names_are_no_markup():
    at = datetime(2026, 11, 2, tzinfo=UTC)
    slices = [CostSlice(at, "<b>a</b>", 1.0), CostSlice(at, "", 3.0)]
    span = (at, at + timedelta(days=1))
    first, second = course.figure(slices, "no customer named", span, 3600, UTC)["data"]
    assert (first["name"], first["y"]) == ("no customer named", [3.0])
    assert second["name"] == "&lt;b>a&lt;/b>"
    assert first["x"] == ["2026-11-02T00:30:00"]
    assert course.told(slices) == "$4.00 spent over the time that is shown"


def test_tools_and_people_have_a_column_where_something_was_paid():
    plain = CostGroup("a", 1, 1, 2.0, None, 1, 0, 10, 0, 0, 5, None)
    paid = CostGroup("b", 1, 1, None, None, 0, 0, 0, 0, 0, 0, None, 0.5, 1.0, None, 0)
    heads = [each["label"] for each in views.table([plain], "agent")["columns"]]
    assert "Tools, people" not in heads
    shown = views.table([plain, paid], "agent")
    at = [each["label"] for each in shown["columns"]].index("Tools, people")
    assert [row["cells"][at]["text"] for row in shown["rows"]] == ["\u2013", "$1.50"]


@pytest.mark.browser
def test_from_a_run_to_its_agent_to_its_costs_and_back_to_the_agent(page, dashboard):
    """Every link stays within the application, and keeps the time window."""
    page.open_run(dashboard, (1).to_bytes(16, "big").hex())
    tab = page.page
    tab.locator(".header").get_by_role("link", name="refund-agent").click()
    expect(tab.get_by_role("heading", name="refund-agent")).to_be_visible()
    expect(tab.get_by_role("link", name="Its drift")).to_be_visible()
    page.idle()
    tab.get_by_text("30d", exact=True).click()
    page.idle()
    tab.get_by_role("link", name="Its costs").click()
    chosen = tab.locator(".sheet tr.chosen")
    expect(chosen).to_contain_text("refund-agent")
    expect(tab).to_have_title("Costs · Tachograph")
    assert "window=30d" in tab.url
    page.page.set_viewport_size({"width": 420, "height": 900})
    assert tab.locator(".sheet").evaluate("e => e.scrollWidth <= e.clientWidth")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    chosen.get_by_role("link").click()
    expect(tab.get_by_role("heading", name="refund-agent")).to_be_visible()


def test_what_is_lost_is_said_beside_what_is_ahead():
    """Somebody who sees a budget run out must see that part of it was never spent."""
    rule = {"limit": 20.0, "unit": "usd", "window": "day"}
    account = {
        "account": "acme",
        "spent": 5.0,
        "held": 0.0,
        "forecast": 40.0,
        "lost": 1.5,
        "refused_ns": None,
    }
    lost = "$1.50 of it went with processes that fell silent"
    assert (
        views._account(account, rule)["ahead"] == f"Heading for $40 at the end of the day; {lost}"
    )
    assert views._account({**account, "forecast": 5.0}, rule)["ahead"] == lost
    refused = views._account({**account, "refused_ns": 1}, rule)["ahead"]
    assert refused == f"A call did not fit into what was left; {lost}"
