"""The page of agents, and why a run ended, as only a browser can show them."""

import pytest
import stories
from dashboard_process import a_dashboard, a_store
from playwright.sync_api import expect

from otlp import span_id

pytestmark = pytest.mark.browser

FAILED = (4).to_bytes(16, "big").hex()


def test_from_all_agents_to_one_to_its_runs_and_back(page, dashboard):
    """Rows and links lead on within the application; the address can be kept."""
    tab = page.open(f"{dashboard}/agents")
    expect(tab.get_by_role("heading", name="Agents")).to_be_visible()
    tab.get_by_role("link", name="refund-agent").click()
    expect(tab.get_by_role("heading", name="refund-agent")).to_be_visible()
    expect(tab.get_by_text("Add next")).to_be_visible()
    expect(tab.get_by_role("img", name="of 5:")).to_be_visible()
    page.idle()
    assert "name=refund-agent" in tab.url
    tab.get_by_role("link", name="All agents").click()
    expect(tab.get_by_role("link", name="refund-agent")).to_be_visible()
    tab.get_by_role("link", name="refund-agent").click()
    tab.get_by_role("link", name="Its runs").click()
    expect(tab.get_by_role("link", name="Refund order 58213").first).to_be_visible()
    expect(tab.get_by_role("link", name="One of each layer")).to_have_count(0)


@pytest.mark.parametrize(
    "page", [{"color_scheme": "dark"}, {"color_scheme": "light"}], indirect=True
)
def test_figures_fit_a_narrow_window(page, dashboard):
    """Names and success stay; nothing is wider than the page."""
    page.page.set_viewport_size({"width": 420, "height": 900})
    tab = page.open(f"{dashboard}/agents?name=refund-agent")
    expect(tab.get_by_text("Layers seen at work")).to_be_visible()
    assert tab.locator(".sheet").first.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_why_it_ended_leads_to_the_steps(page, dashboard):
    """A link of the chain chooses its step in the tree, like every sentence of the account."""
    tab = page.open_run(dashboard, FAILED)
    tab.get_by_role("tab", name="Why it ended").click()
    expect(tab.get_by_text("Beside the nearest run that succeeded")).to_be_visible()
    tab.get_by_role("button", name="It began here").or_(
        tab.locator(".account:visible li.bad button")
    ).first.click()
    expect(tab.get_by_role("treeitem", selected=True)).to_have_count(1)
    page.idle()
    assert span_id(1) not in tab.url


def test_without_any_run_the_page_says_how_to_record_one(page, tmp_path):
    """And fills itself when the first has come."""
    with (
        a_store(tmp_path / "db") as store,
        a_dashboard(store.dsn, tmp_path / "dashboard.log") as address,
    ):
        tab = page.open(f"{address}/agents")
        expect(tab.get_by_text("Record your first run")).to_be_visible()
        store.load(stories.refund())
        expect(tab.get_by_role("link", name="refund-agent")).to_be_visible()
