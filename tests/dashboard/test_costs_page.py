"""The page of costs: its script over a real store, its table in a browser, the course of a budget."""

from datetime import UTC

import pytest
from playwright.sync_api import expect
from test_pages import sent

from tachograph_dashboard import costs
from tachograph_dashboard.views import burn
from tachograph_dashboard.views import costs as views

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
    assert sent(pages, "kpis")["cards"][0]["label"] == "Spent"


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
    assert burn.told(state([4.0], course)) == "$6.00 of $10.00 left"


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
