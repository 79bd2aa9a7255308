"""How fast a large run is on screen: ``python tests/benchmarks/dashboard_tree.py [spans] [rounds]``.

Starts a store and the dashboard, stores one run, and drives Chromium. Prints one JSON object; times in ms:

* ``blank``: navigation to an empty page of the same server, the floor of the tooling;
* ``cold``, ``warm``: navigation to the tree painted, with an empty and a filled browser cache;
* ``click``: pointer down to the details of another span on the page;
* ``interaction``: the longest event-to-paint while unfolding, scrolling, zooming, searching and stepping.
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "dashboard"), str(HERE.parent)]

import stories  # noqa: E402
from dashboard_process import a_dashboard, a_store  # noqa: E402
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright  # noqa: E402

from browser import _ARGUMENTS, executable  # noqa: E402

RUN = (77).to_bytes(16, "big").hex()
READY = ".tree[data-ready]"

PAINTED = """() => new Promise(done => requestAnimationFrame(() => setTimeout(() =>
    done(performance.getEntriesByName('tacho:tree').at(-1)?.startTime ?? performance.now()), 0)))"""

# Clicks a row and waits, in the page, for the details to name another span.
CLICK = """(index) => new Promise(done => {
    const find = (root, selector) => {
        for (const e of root.querySelectorAll('*')) {
            if (e.matches(selector)) return e
            const inner = e.shadowRoot && find(e.shadowRoot, selector)
            if (inner) return inner
        }
    }
    const details = find(document, '.details'), rows = find(document, '.tree').querySelectorAll('.row')
    const row = [...rows].filter(r => r.style.display !== 'none' && r.getAttribute('aria-selected') === 'false')[index]
    const from = performance.now()
    new MutationObserver((_, watch) => { watch.disconnect(); requestAnimationFrame(() => done(performance.now() - from)) })
        .observe(details, { attributes: true, attributeFilter: ['data-span'] })
    row.querySelector('.name').dispatchEvent(new MouseEvent('click', { bubbles: true, composed: true }))
})"""

WATCH = """() => { window.events = []; new PerformanceObserver(list => {
    for (const e of list.getEntries()) if (e.interactionId || e.name === 'wheel') window.events.push([e.name, e.duration]) })
    .observe({ type: 'event', durationThreshold: 16, buffered: false }) }"""


def summary(samples: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(samples)),
        "least": round(min(samples)),
        "most": round(max(samples)),
    }


def load(tab: Page, address: str) -> float:
    tab.goto(f"{address}/run?id={RUN}")
    tab.wait_for_selector(READY)
    return float(tab.evaluate(PAINTED))


def settle(tab: Page) -> None:
    tab.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    tab.wait_for_selector(".details h2")
    tab.wait_for_timeout(400)


def interactions(tab: Page) -> list[tuple[str, float]]:
    tab.evaluate(WATCH)
    tree = tab.get_by_role("tree")
    tab.get_by_role("button", name="Unfold everything").click()
    tree.focus()
    for key in (
        "Home",
        "End",
        "PageUp",
        "PageDown",
        "ArrowDown",
        "ArrowUp",
        "e",
        "e",
        "z",
        "0",
        "c",
        "c",
    ):
        tree.press(key)
        tab.wait_for_timeout(120)
    tab.get_by_role("button", name="Fold everything", exact=True).click()
    tree.press("*")
    tab.locator(".chip").first.click()
    tab.get_by_label("Find a span").type("gate", delay=60)
    tab.keyboard.press("Enter")
    tab.wait_for_timeout(500)
    return [(name, duration) for name, duration in tab.evaluate("window.events")]


def measure(browser: Browser, address: str, rounds: int) -> dict[str, object]:
    def context() -> BrowserContext:
        return browser.new_context(viewport={"width": 1440, "height": 900})

    cold = []
    for _ in range(3):
        with context() as fresh:
            cold.append(load(fresh.new_page(), address))
    with context() as kept:
        tab = kept.new_page()
        load(tab, address)
        settle(tab)
        blank, warm = [], []
        for _ in range(rounds):
            tab.goto(f"{address}/_stcore/health")
            blank.append(float(tab.evaluate("performance.now()")))
            warm.append(load(tab, address))
            settle(tab)
        clicks = [float(tab.evaluate(CLICK, 1 + k % 6)) for k in range(rounds) if not settle(tab)]
        events = interactions(tab)
        rows = tab.locator(".tree .row").count()
    longest = max(events, key=lambda event: event[1], default=("none", 0))
    return {
        "blank": summary(blank),
        "cold": summary(cold),
        "warm": summary(warm),
        "click": summary(clicks),
        "interaction": {"longest": longest[1], "event": longest[0], "over_16_ms": len(events)},
        "rows_in_page": rows,
    }


def main() -> None:
    spans = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        with (
            a_store(home / "db") as store,
            a_dashboard(store.dsn, home / "log") as address,
            sync_playwright() as playwright,
        ):
            store.load(stories.large(77, spans))
            browser = playwright.chromium.launch(executable_path=executable(), args=_ARGUMENTS)
            print(json.dumps({"spans": spans} | measure(browser, address, rounds), indent=2))
            browser.close()


if __name__ == "__main__":
    main()
