"""What only a browser can show. Every test also fails on a script error or a request to another machine."""

import re
import time

import pytest
import stories
from dashboard_process import a_dashboard, a_store
from playwright.sync_api import expect

from free_port import free_port
from otlp import span_id

pytestmark = pytest.mark.browser

REFUND, HOSTILE = (1).to_bytes(16, "big").hex(), (3).to_bytes(16, "big").hex()


@pytest.fixture
def own(tmp_path):
    """A store of this test alone, and a dashboard over it."""
    with (
        a_store(tmp_path / "db") as store,
        a_dashboard(store.dsn, tmp_path / "dashboard.log") as address,
    ):
        yield store, address


def chosen(tab):
    return tab.get_by_role("treeitem", selected=True)


def test_an_empty_store_shows_how_to_record_and_fills_itself(page, own):
    """The first visitor learns what to do; the first run appears without a reload, also where its link was opened."""
    store, address = own
    tab = page.open(address)
    expect(tab.get_by_text("Record your first run")).to_be_visible()
    expect(tab.get_by_text("import tachograph as tacho")).to_be_visible()
    page.shoot("empty")
    early = page.context.new_page()
    early.goto(f"{address}/run?id={REFUND}")
    expect(early.get_by_text("This run is not stored")).to_be_visible()
    store.load(stories.refund())
    expect(tab.get_by_role("link", name="Refund order 58213")).to_be_visible()
    early.wait_for_selector(".tree[data-ready]", timeout=60_000)
    expect(early.get_by_role("heading", name="Refund order 58213")).to_be_visible()
    expect(early.get_by_text("This run is not stored")).to_have_count(0)


@pytest.mark.parametrize("width_px", [1440, 1000, 600, 400])
def test_a_narrow_list_keeps_what_the_runs_were_and_whole_costs(page, dashboard, width_px):
    """Counts, customer and start leave first; no cost loses the sign that it is a lower bound."""
    page.page.set_viewport_size({"width": width_px, "height": 900})
    tab = page.open(dashboard)
    title = tab.get_by_role("link", name="Refund order 58213").first
    expect(title).to_be_visible()
    assert tab.locator("td.run").first.bounding_box()["width"] >= 90
    cost = tab.locator("td.cost").filter(has_text="$0.00255+").first
    expect(cost).to_be_visible()
    assert cost.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert tab.locator(".runs").evaluate("e => e.scrollWidth <= e.clientWidth")


def test_a_running_run_has_one_duration_on_its_page(page, own):
    """Head, verdict and the bar of the open root agree with the store."""
    store, address = own
    store.load(stories.live(7, 5, time.time_ns() - 30_000_000_000))
    tab = page.open(address)
    expect(tab.locator("td.took")).not_to_have_text("0 ms")
    page.open_run(address, (7).to_bytes(16, "big").hex())
    texts = tab.evaluate(
        """() => {
            const all = [], walk = (root) => root.querySelectorAll("*").forEach((e) => {
                all.push(e); if (e.shadowRoot) walk(e.shadowRoot) })
            walk(document)
            const dt = all.find((e) => e.tagName === "DT" && e.textContent === "Running for")
            return [dt.parentElement.querySelector("dd").textContent,
                    all.find((e) => e.matches(".tree .row .took")).textContent,
                    all.find((e) => e.matches(".header .verdict")).textContent]
        }"""
    )
    assert re.fullmatch(r"\d\d\.\d s|\d+ min \d\d s", texts[0])
    assert texts[1] == texts[0]
    assert texts[0] in texts[2]


def test_from_the_list_to_a_run_to_a_span(page, dashboard):
    """A row leads to its run, a sentence of the story to its evidence."""
    tab = page.open(dashboard)
    tab.get_by_role("row").filter(has_text="Stopped").click()
    expect(tab).to_have_url(re.compile(r"/run\?id=0{31}5"))
    expect(tab.get_by_role("heading", name="Refund order 58213")).to_be_visible()
    tab.locator("button.line").filter(
        has_text=re.compile("refund.limit|denied", re.IGNORECASE)
    ).first.click()
    expect(chosen(tab)).to_contain_text("gate refund.limit")
    expect(tab.locator(".details h2")).to_have_text("gate refund.limit")
    expect(tab.get_by_text("Over $200 needs a person").last).to_be_visible()
    expect(tab).to_have_url(re.compile(f"span={span_id(5)}"))


def test_a_runs_page_leads_back_to_the_list_and_to_its_session(page, dashboard):
    """All runs, or those that share a session, without a reload."""
    tab = page.open_run(dashboard, REFUND)
    tab.get_by_role("link", name="s-17").click()
    expect(tab).to_have_url(re.compile(r"/\?session=s-17"))
    expect(tab.locator("tbody tr")).to_have_count(3)
    page.open_run(dashboard, REFUND)
    tab.get_by_role("link", name="All runs").click()
    expect(tab.locator("tbody tr")).to_have_count(5)


def test_a_row_is_a_link_that_opens_in_a_tab_of_its_own(page, dashboard):
    """Ctrl-click does what it does everywhere."""
    tab = page.open(dashboard)
    with page.context.expect_page() as opened:
        tab.get_by_role("link", name="One of each layer").click(modifiers=["ControlOrMeta"])
    expect(opened.value).to_have_url(re.compile(r"/run\?id=0{31}2"))


def test_a_deep_link_restores_the_span(page, dashboard):
    """The address of a span shows that span, in tree, story and details."""
    tab = page.open_run(dashboard, REFUND, f"&span={span_id(8)}")
    expect(chosen(tab)).to_contain_text("approve refund")
    expect(tab.locator(".details h2")).to_have_text("approve refund")
    expect(tab.get_by_text("Photos look genuine").last).to_be_visible()


def test_filters_stand_in_the_address_and_come_back(page, dashboard):
    """A filtered list can be sent to a colleague."""
    tab = page.open(dashboard)
    tab.get_by_role("button", name="Stopped").click()
    page.idle()
    expect(tab).to_have_url(re.compile("outcome=Stopped"))
    expect(tab.locator("tbody tr")).to_have_count(1)
    tab.reload()
    page.idle()
    expect(tab.locator("tbody tr")).to_have_count(1)


def test_hostile_text_stays_text(page, dashboard):
    """Markup, scripts, Markdown images and links in recorded content do nothing, anywhere."""
    tab = page.open(dashboard)
    expect(tab.locator("tbody")).to_contain_text("<img src=x")
    tab.get_by_test_id("stMultiSelect").first.click()
    tab.wait_for_timeout(300)
    tab.keyboard.press("Escape")
    page.open_run(dashboard, HOSTILE)
    for number in (1, 2, 3):
        page.open_run(dashboard, HOSTILE, f"&span={span_id(number)}")
        for title in tab.get_by_role("tab").all():
            title.click()
    tab.get_by_label("Find a span").fill("onerror")
    tab.wait_for_timeout(300)
    assert tab.evaluate("window.hit") is None
    assert tab.locator("img[src*='evil'], img[src='x'], a[href^='javascript']").count() == 0


def test_the_keyboard_alone_reaches_everything(page, dashboard):
    """Move, fold, unfold, step to errors and search without a pointer."""
    tab = page.open_run(dashboard, REFUND)
    tree = tab.get_by_role("tree")
    tree.focus()
    tree.press("Home")
    expect(chosen(tab)).to_contain_text("run refund")
    tree.press("ArrowLeft")
    expect(chosen(tab)).to_have_attribute("aria-expanded", "false")
    expect(tab.get_by_text("1 of 13 spans shown")).to_be_visible()
    tree.press("*")
    tree.press("e")
    expect(chosen(tab)).to_contain_text("get_order")
    expect(tab.locator(".details")).to_contain_text("504 from the order service")
    tree.press("/")
    tab.keyboard.type("pay_refund")
    tab.keyboard.press("Enter")
    expect(chosen(tab)).to_contain_text("pay_refund")


def test_alike_siblings_are_one_row_until_asked(page, dashboard):
    """Four calls in a row fold into one row, which opens with a click."""
    tab = page.open_run(dashboard, REFUND)
    folded = tab.get_by_role("treeitem").filter(has_text="notify").first
    expect(folded).to_have_accessible_name(re.compile("notify 4 times"))
    before = tab.get_by_role("treeitem").count()
    folded.click()
    expect(folded).to_have_attribute("aria-expanded", "true")
    expect(tab.get_by_text("13 of 13 spans shown")).to_be_visible()
    assert tab.get_by_role("treeitem").count() >= before


def test_twenty_thousand_spans_stay_usable(page, own):
    """All of them unfold, are found and stepped through; the page holds only what is seen."""
    store, address = own
    store.load(stories.large(9, 20_000))
    tab = page.open_run(address, (9).to_bytes(16, "big").hex())
    tab.get_by_role("button", name="Unfold everything").click()
    expect(tab.get_by_text("20,000 of 20,000 spans shown")).to_be_visible()
    assert tab.locator(".tree .row").count() < 80
    tab.get_by_label("Find a span").fill("gate alpha")
    expect(tab.locator(".hits")).to_have_text(re.compile("found"))
    tab.get_by_label("Find a span").press("Enter")
    expect(chosen(tab)).to_contain_text("gate alpha")
    expect(tab.locator(".details h2")).to_have_text("gate alpha")
    tab.get_by_role("button", name="errors").click()
    expect(tab.locator(".details")).to_contain_text("boom")


def test_a_live_run_grows_and_leaves_the_reader_alone(page, own):
    """New spans appear by themselves; choice, folds and place stay; the end is seen."""
    store, address = own
    start_ns = time.time_ns() - 60_000_000_000
    store.load(stories.live(7, 40, start_ns))
    run_id = (7).to_bytes(16, "big").hex()
    tab = page.open_run(address, run_id)
    expect(tab.get_by_text("Running", exact=True)).to_be_visible()
    tab.get_by_role("treeitem").filter(has_text="poll_3").first.click()
    tab.locator(".tree .scroll").evaluate("e => e.scrollTop = 96")
    page.shoot("live")
    store.load(stories.live(7, 45, start_ns))
    expect(tab.get_by_text(re.compile("of 47 spans shown"))).to_be_visible()
    expect(chosen(tab)).to_contain_text("poll_3")
    assert tab.locator(".tree .scroll").evaluate("e => e.scrollTop") == 96
    ended = stories.Trace(7)
    ended.start_ns = start_ns
    ended.span(1, "run watch", ms=60_000, tacho__layer="run", tacho__run__outcome="success", tacho__run__goal="Watch the queue")  # fmt: skip
    store.load(ended)
    expect(tab.locator(".header .state")).to_have_text("Succeeded")


def test_the_list_follows_a_new_run_without_losing_the_place(page, own):
    """A refresh adds a row and keeps the focus where it is."""
    store, address = own
    store.load(stories.live(7), *(stories.refund(number) for number in range(20, 60)))
    tab = page.open(address)
    row = tab.locator("tbody a").nth(30)
    row.focus()
    held = row.get_attribute("href")
    store.load(stories.refund(99))
    expect(tab.locator("tbody tr")).to_have_count(42)
    assert tab.evaluate("document.activeElement?.shadowRoot?.activeElement?.getAttribute('href') ?? document.activeElement?.getAttribute('href')") == held  # fmt: skip


def test_a_store_that_is_down_is_said_calmly_and_comes_back(page, tmp_path):
    """No traceback; the page returns by itself when the store does."""
    directory, port = tmp_path / "db", free_port()
    with a_store(directory, port) as store:
        store.load(stories.refund())
        dsn = store.dsn
    with a_dashboard(dsn, tmp_path / "dashboard.log") as address:
        tab = page.open(address)
        expect(tab.get_by_text("The store does not answer")).to_be_visible()
        # No collector runs here either, so nothing is promised that it would have to keep.
        expect(tab.get_by_text("Nor does the collector")).to_be_visible()
        expect(tab.get_by_role("button", name="Try again")).to_be_visible()
        page.shoot("store-down")
        with a_store(directory, port):
            expect(tab.get_by_role("link", name="Refund order 58213")).to_be_visible()


def test_an_expired_link_says_what_to_do(page, dashboard):
    """The tree explains why it is empty and offers to try again."""
    page.page.route("**/data/tree/*", lambda route: route.fulfill(status=403, body="This link has expired. Load the page again."))  # fmt: skip
    page.page.goto(f"{dashboard}/run?id={REFUND}")
    expect(page.page.get_by_text("This link has expired. Load the page again.")).to_be_visible()
    expect(page.page.get_by_role("button", name="Try again")).to_be_visible()


def test_a_timeline_that_could_not_be_loaded_comes_by_itself(page, dashboard):
    """The store was away for the one request that the page of an ended run makes: nobody has to press anything."""
    answers = iter([503])

    def answer(route):
        status = next(answers, None)
        if status is None:
            route.continue_()
        else:
            route.fulfill(status=status, body="The store does not answer.")

    page.page.route("**/data/tree/*", answer)
    page.open_run(dashboard, REFUND)
    expect(page.page.get_by_role("treeitem").filter(has_text="refund").first).to_be_visible()
    expect(page.page.get_by_text("The spans could not be loaded")).to_have_count(0)
    assert next(answers, None) is None


def test_the_download_is_the_whole_run(page, dashboard):
    """Run and spans, as JSON."""
    tab = page.open_run(dashboard, REFUND)
    with tab.expect_download() as download:
        tab.get_by_role("link", name="Download").first.click()
    text = download.value.path().read_text()
    assert text.count('"span_id"') == 13
    assert download.value.suggested_filename == f"run-{REFUND}.json"


@pytest.mark.parametrize(
    "page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True
)
def test_both_themes_show_every_layer(page, dashboard, request):
    """A picture of the list, of a run and of every layer's shape, in light and dark."""
    scheme = request.node.callspec.params["page"]["color_scheme"]
    tab = page.open(dashboard)
    expect(tab.locator("tbody tr")).to_have_count(5)
    page.shoot(f"runs-{scheme}")
    page.open_run(dashboard, REFUND, f"&span={span_id(2)}")
    page.shoot(f"run-{scheme}")
    page.open_run(dashboard, (2).to_bytes(16, "big").hex())
    expect(tab.locator(".tree .chip")).to_have_count(22)
    ground = tab.evaluate(
        "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
    )
    red = int(re.search(r"\d+", ground).group())
    assert (red > 200) == (scheme == "light")


def test_the_page_follows_the_viewers_clock(browser, dashboard):
    """Times are in the time zone of who looks."""
    from browser import Page

    viewer = Page(browser, timezone_id="Asia/Tokyo")
    viewer.open_run(dashboard, REFUND)
    expect(viewer.page.get_by_text(re.compile(r"\d JST"))).to_be_visible()
    viewer.context.close()
    assert not viewer.trouble
