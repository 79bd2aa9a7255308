"""A real Chromium for tests: any script error or request that leaves the machine fails the test."""

import os
import re
import shutil
from pathlib import Path

import pytest
from playwright import sync_api
from playwright.sync_api import expect

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_LOCAL = re.compile(r"(https?|wss?)://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?/|data:|blob:|about:")
_IDLE = (
    "[data-testid=stApp][data-test-script-state=notRunning][data-test-connection-state=CONNECTED]"
)


def executable():
    """The browser to drive: ``CHROMIUM``, the system's, or Playwright's own (``None``)."""
    named = os.environ.get("CHROMIUM")
    return named or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser():
    """One browser for the tests of a file; absent, tests skip, and fail in CI.

    Not longer: while it is driven, an event loop counts as running in this thread, and no other test could run one.
    """
    with sync_api.sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=executable(), args=_ARGUMENTS)
        except sync_api.Error as error:
            sentence = f"no browser to drive ({str(error).splitlines()[0]}); set CHROMIUM"
            if os.environ.get("CI") == "true":
                pytest.fail(sentence)
            pytest.skip(sentence)
        yield opened
        opened.close()


class Page:
    """A page of one dashboard, with the waits that its users' eyes do."""

    def __init__(self, browser, **options):
        self.trouble = []
        self.context = browser.new_context(
            viewport={"width": 1440, "height": 900}, reduced_motion="reduce", **options
        )
        # On a machine that is full of other work, a page that is loaded anew has taken 12 s.
        self.context.set_default_timeout(60_000)
        self.page = self.context.new_page()
        expect.set_options(timeout=30_000)
        self.page.on("pageerror", lambda error: self.trouble.append(f"script error: {error}"))
        self.page.on("dialog", lambda dialog: self.trouble.append(f"dialog: {dialog.message}"))
        self.page.on("request", self._check)

    def _check(self, request):
        if not _LOCAL.match(request.url):
            self.trouble.append(f"left the machine: {request.url}")

    def open(self, address):
        self.page.goto(address)
        self.idle()
        return self.page

    def idle(self):
        """Wait until the script has run; widgets wait a moment themselves before they report."""
        self.page.wait_for_timeout(160)
        self.page.wait_for_selector(_IDLE)

    def open_run(self, address, run_id, extra=""):
        self.page.goto(f"{address}/run?id={run_id}{extra}")
        self.page.wait_for_selector(".tree[data-ready]")
        self.idle()
        return self.page

    def shoot(self, name):
        """Keep a picture where ``SHOTS`` says, if it says."""
        folder = os.environ.get("SHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{folder}/{name}.png")


@pytest.fixture
def page(browser, request):
    """A fresh page; parametrise it indirectly with options of a browser context."""
    opened = Page(browser, **getattr(request, "param", {}))
    yield opened
    opened.shoot(re.sub(r"\W+", "-", request.node.name))
    opened.context.close()
    assert not opened.trouble, opened.trouble
