"""The inbox with 10,000 requests waiting: over HTTP, and as a page in Chromium; and a decision's way to the agent.

python -m tests.benchmarks approvals [WAITING]
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from collector_process import Collector
from playwright.sync_api import Page, sync_playwright

from browser import executable
from pipeline import until
from tachograph_dashboard.control import PAGE_ROWS
from tachograph_schemas.control import APPROVALS
from tachograph_schemas.control_client import ControlClient

WAITING = 10_000
TIMES = 50
PAGES = 12
DECISIONS = 30
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
    waiting = int(words[0]) if words else WAITING
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
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
    """The page in a browser: opened, and another page of the list chosen in the open one."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        tab = browser.new_page()
        tab.set_default_timeout(60_000)
        opened_ms = [timed(lambda: opened(collector, tab)) for _ in range(PAGES)]
        say(f"page opened anew with {waiting:,} waiting, drawn", opened_ms[1:])
        last = min(PAGES, waiting // PAGE_ROWS)
        turned_ms = [timed(lambda n=n: turned(tab, n)) for n in range(2, last)]
        if turned_ms:
            say("next page of the list, drawn", turned_ms)
        browser.close()


def opened(collector: Collector, tab: Page) -> None:
    tab.goto(f"{collector.instance['dashboard']}/approvals")
    tab.get_by_role("heading", name="refund 0", exact=True).wait_for()


def turned(tab: Page, number: int) -> None:
    """Another page of the list, until its first request is drawn."""
    tab.get_by_role("button", name="Next page").click()
    tab.get_by_text(f"refund {(number - 1) * PAGE_ROWS}", exact=True).first.wait_for()


def timed(action) -> float:
    started_s = time.perf_counter()
    action()
    return (time.perf_counter() - started_s) * 1e3


def say(what: str, took_ms: list[float]) -> None:
    print(f"{what}: median {statistics.median(took_ms):.1f} ms, slowest {max(took_ms):.1f} ms")
