"""The inbox with 10,000 requests waiting: over HTTP, and as a page in Chromium; and a decision's way to the agent.

python -m tests.benchmarks approvals [WAITING]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from collector_process import Collector
from playwright.sync_api import Locator, Page, sync_playwright

from browser import executable
from pipeline import until
from tachograph_dashboard.control import PAGE_ROWS
from tachograph_schemas.control import APPROVALS
from tachograph_schemas.control_client import ControlClient

WAITING = 10_000
TIMES = 50
PAGES = 12
DECISIONS = 30
# Looked for in every frame that is painted, in the components' own trees as well.
DRAWN_MS = """
const holds = (root, selector, text) => [...root.querySelectorAll("*")].some((found) =>
  (found.shadowRoot && holds(found.shadowRoot, selector, text)) ||
  (found.matches(selector) && found.textContent.trim() === text))
window.drawnMs = ([selector, text], sinceMs) => new Promise((resolve) => {
  const look = () =>
    holds(document, selector, text) ? resolve(performance.now() - sinceMs) : requestAnimationFrame(look)
  look()
})
"""
EMPTY = "import streamlit as st; st.title('Empty')"
AGENT = """
import sys, time
import tachograph as tacho
tacho.init(approver="inbox")

@tacho.tool(risk="high", approval=True)
def refund(number): return time.time()

@tacho.run(agent="decided")
def handle(times):
    for number in range(times):
        print(refund(number), flush=True)

handle(int(sys.argv[1]))
"""


def main(words: list[str]) -> None:
    """Print the medians and the slowest, ms."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks approvals")
    parser.add_argument("waiting", nargs="?", type=int, default=WAITING, help="requests")
    waiting = parser.parse_args(words).waiting
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    streamlit_alone()
    with tempfile.TemporaryDirectory(prefix="tachograph-approvals-") as folder:
        collector = Collector(Path(folder) / "home", dashboard=True).start()
        try:
            client = ControlClient(collector.url)
            say("decision to the tool's first line", decided(collector, client))
            ask(client, 0)
            drawn(collector, 1)
            asked_ms = [
                timed(lambda number=number: ask(client, number)) for number in range(1, waiting)
            ]
            query = {"limit": 50, "offset": waiting // 2}
            print(f"waiting: {client.call('GET', APPROVALS).data['total']:,}")
            say("ask", asked_ms[-1_000:])
            say("first page", [timed(lambda: client.call("GET", APPROVALS)) for _ in range(TIMES)])
            say(
                "a page in the middle",
                [timed(lambda: client.call("GET", APPROVALS, query=query)) for _ in range(TIMES)],
            )
            drawn(collector, waiting)
        finally:
            collector.stop()
    print(f"load afterwards: {os.getloadavg()[0]:.1f}")


def ask(client: ControlClient, number: int) -> None:
    key = hashlib.sha256(str(number).encode()).hexdigest()
    body = {"idempotency_key": key, "action": f"refund {number}", "params": '{"usd": 10}'}
    assert client.call("POST", APPROVALS, body)


def decided(collector: Collector, client: ControlClient) -> list[float]:
    """From a person's word to the first line of the tool, ms; both clocks are this machine's."""
    took_ms = []
    with subprocess.Popen(
        [sys.executable, "-c", AGENT, str(DECISIONS)],
        env=collector.environment | {"TACHO_ENDPOINT": collector.url},
        stdout=subprocess.PIPE,
        text=True,
    ) as agent:
        assert agent.stdout is not None
        for _ in range(DECISIONS):
            until(lambda: client.call("GET", APPROVALS).data["total"] == 1)
            request = client.call("GET", APPROVALS).data["approvals"][0]
            body = {"decision": "allow", "params_hash": request["params_hash"], "approver": "x"}
            said_s = time.time()
            assert client.call("POST", f"{APPROVALS}/{request['id']}/decision", body)
            took_ms.append((float(agent.stdout.readline()) - said_s) * 1e3)
    return took_ms


def drawn(collector: Collector, waiting: int) -> None:
    """The page in a browser: opened anew, from another page of ours, and another page of the list in the open one.

    Each until its first request is drawn, by the browser's own clock: whoever asks it from outside looks too seldom.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        tab = browser.new_page()
        tab.add_init_script(DRAWN_MS)
        address = collector.instance["dashboard"]
        # The first one fetches Streamlit's scripts.
        opened_ms = [opened(tab, f"{address}/approvals", "refund 0") for _ in range(PAGES)][1:]
        say(f"opened anew with {waiting:,} waiting", opened_ms)
        said = "There is nothing to compare"
        bare_ms = [opened(tab, f"{address}/compare", said, "h2") for _ in range(PAGES)][1:]
        say("a page of ours that asks nothing and draws one sentence, opened anew", bare_ms)
        came_ms = []
        for _ in range(PAGES):
            opened(tab, address, "Runs")
            approvals = tab.get_by_role("link", name="Approvals")
            came_ms.append(clicked(approvals, ("h1", "refund 0")))
        say("opened from the page of runs", came_ms)
        turned_ms = [
            clicked(
                tab.get_by_role("button", name="Next page"),
                (".action", f"refund {(number - 1) * PAGE_ROWS}"),
            )
            for number in range(2, min(PAGES, waiting // PAGE_ROWS))
        ]
        if turned_ms:
            say("next page of the list", turned_ms)
        browser.close()


def opened(tab: Page, address: str, heading: str, kind: str = "h1") -> float:
    """An address, until a heading is drawn; ms since the browser was told."""
    tab.goto(address)
    return float(tab.evaluate("wanted => drawnMs(wanted, 0)", [kind, heading]))


def clicked(what: Locator, wanted: tuple[str, str]) -> float:
    """What follows a click, until an element of this selector and text is drawn, ms."""
    what.wait_for()
    script = "(found, wanted) => { const at = performance.now(); found.click(); return drawnMs(wanted, at) }"
    return float(what.evaluate(script, list(wanted)))


def streamlit_alone() -> None:
    """A page of one title, served by Streamlit as it comes: what no page of ours can be faster than."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="tachograph-empty-") as folder:
        page = Path(folder) / "empty.py"
        page.write_text(EMPTY)
        words = [sys.executable, "-m", "streamlit", "run", str(page), "--server.headless=true"]
        options = [f"--server.port={port}", "--server.address=127.0.0.1"]
        server = subprocess.Popen([*words, *options], stdout=subprocess.DEVNULL)
        try:
            until(lambda: is_listening(port))
            with sync_playwright() as playwright:
                chromium = playwright.chromium
                browser = chromium.launch(executable_path=executable(), args=["--no-sandbox"])
                tab = browser.new_page()
                tab.add_init_script(DRAWN_MS)
                address = f"http://127.0.0.1:{port}"
                opened_ms = [opened(tab, address, "Empty") for _ in range(PAGES)][1:]
                browser.close()
        finally:
            server.kill()
            server.wait()
    say("an empty page of Streamlit, opened anew", opened_ms)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def timed(action) -> float:
    started_s = time.perf_counter()
    action()
    return (time.perf_counter() - started_s) * 1e3


def say(what: str, took_ms: list[float]) -> None:
    print(f"{what}: median {statistics.median(took_ms):.1f} ms, slowest {max(took_ms):.1f} ms")
