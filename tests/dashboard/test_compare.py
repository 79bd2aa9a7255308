"""The page that compares two runs, and the way to it."""

import pytest
from playwright.sync_api import expect
from test_pages import FAILED, HOSTILE, REFUND, STOPPED, open_run, sent

from tachograph_dashboard import control, data


@pytest.fixture
def no_collector(monkeypatch):
    """Nobody to ask for replays: pages say so, and show the rest."""
    monkeypatch.setenv("TACHO_ENDPOINT", "http://127.0.0.1:9")
    control.forget()


def open_compare(pages, **address):
    pages.run().switch_page("app_pages/compare.py")
    for name, value in address.items():
        pages.query_params[name] = value
    pages.run()
    assert not pages.exception
    return pages


def test_two_runs_are_side_by_side(pages, no_collector):
    shown = sent(open_compare(pages, a=REFUND, b=STOPPED), "compare")
    assert shown["a"]["outcome"] == "success"
    assert shown["b"]["outcome"] == "stopped"
    facts = {fact["label"]: (fact["a"], fact["b"]) for fact in shown["facts"]}
    assert facts["Outcome"] == ("Succeeded", "Stopped")
    assert shown["lines"]
    assert sum(line["first"] for line in shown["lines"]) <= 1


def test_a_run_beside_itself_and_hostile_text_do_no_harm(pages, no_collector):
    shown = sent(open_compare(pages, a=REFUND, b=HOSTILE), "compare")
    assert "\x1b" not in str(shown)
    assert not shown["same"]
    open_compare(pages, a=REFUND, b=REFUND)
    assert any("Compare" in each.value for each in pages.markdown), "it asks for another run"


def test_an_unknown_run_is_said(pages, no_collector):
    open_compare(pages, a="feed")
    assert any("nothing to compare" in each.value for each in pages.markdown)


def test_a_run_that_was_not_recorded_says_what_keeps_runs_from_it(pages, no_collector):
    open_run(pages, FAILED)
    assert any("unless `TACHO_RECORD` is `off`" in each.value for each in pages.markdown)
    assert any("past replays cannot be listed" in each.value for each in pages.caption)


def test_a_store_that_is_away_leaves_the_tab_of_replays_and_not_the_page(
    pages, no_collector, monkeypatch
):
    def away(*_):
        raise ConnectionError("gone")

    monkeypatch.setattr(data, "recording", away)
    open_run(pages, REFUND)
    assert any("The store does not answer now" in each.value for each in pages.caption)
    assert not [each for each in pages.button if each.key == "ask_replay"]


@pytest.mark.browser
@pytest.mark.parametrize(
    "page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True
)
def test_two_runs_are_chosen_in_the_list_and_compared(page, dashboard):
    """Two boxes, one button; the first difference is open, and what is the same unfolds."""
    tab = page.open(dashboard)
    boxes = tab.get_by_role("checkbox", name="Compare Refund order 58213")
    boxes.nth(0).check()
    expect(tab.get_by_role("button", name="Compare", exact=True)).to_be_disabled()
    boxes.nth(1).check()
    tab.get_by_role("button", name="Compare", exact=True).click()
    expect(tab.get_by_role("heading", name="Compare runs")).to_be_visible()
    expect(tab.locator(".compare .run")).to_have_count(2)
    folds = tab.locator(".compare .fold")
    if folds.count():
        before = tab.locator(".compare .line").count()
        folds.first.click()
        expect(tab.locator(".compare .line")).not_to_have_count(before)
