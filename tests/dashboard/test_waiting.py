"""The numbers in the navigation, from collectors of today and of before."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from tachograph_collector.alerts import webhook
from tachograph_dashboard import alerts as alerts_data
from tachograph_dashboard import control, navigation
from tachograph_dashboard.views import alerts
from tachograph_schemas.control import ALERTS, APPROVALS, DRIFT, WAITING

BEFORE = {
    APPROVALS: {"approvals": [], "total": 12},
    f"{ALERTS}/firing": {"firing": [{}, {}]},
    f"{DRIFT}/alarms": {"alarms": [{}]},
}
TODAY = {WAITING: {"approvals": 12, "alerts": 2, "drift": 1}}


@pytest.fixture
def collector_with(monkeypatch):
    """A function that serves what a collector answers, by path; it gives the paths that are asked for."""
    with contextlib.ExitStack() as open_ones:

        def serve(answers: dict[str, object]) -> list[str]:
            asked: list[str] = []

            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    path = urlsplit(self.path).path
                    asked.append(path)
                    body = json.dumps(answers.get(path, {"detail": "Not Found"})).encode()
                    self.send_response(200 if path in answers else 404)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, *_: object) -> None:
                    return

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            open_ones.callback(server.server_close)
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            open_ones.callback(thread.join)
            open_ones.callback(server.shutdown)
            monkeypatch.setenv("TACHO_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
            monkeypatch.setattr(navigation, "_WAITING_TIMEOUT_S", 30.0)
            return asked

        yield serve


@pytest.mark.parametrize(
    ("answers", "asked"),
    [(TODAY, [WAITING]), (BEFORE, [WAITING, *BEFORE])],
    ids=["today", "before"],
)
def test_the_numbers_are_asked_for_once_and_one_by_one_of_an_older_collector(
    collector_with, answers, asked
):
    seen = collector_with(answers)
    assert navigation._count_waiting() == {"approvals": 12, "alerts": 2, "drift": 1}
    assert seen == asked


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {WAITING: {"approvals": None}},
        {WAITING: {"approvals": "many", "drift": 1}},
        {APPROVALS: {"total": 1}, f"{ALERTS}/firing": {}, f"{DRIFT}/alarms": {}},
    ],
)
def test_answers_without_sense_are_no_numbers(collector_with, answers):
    """The navigation is on every page: what it cannot read must not take them away."""
    collector_with(answers)
    assert navigation._count_waiting() == {}


def test_a_test_is_waited_for_as_long_as_its_receiver_may_take(monkeypatch):
    given = {}
    monkeypatch.setattr(control, "call", lambda *_, **more: given.update(more))
    alerts_data.test("team", "maria")
    assert webhook._WHOLE_S < given["query"]["wait_s"] < given["timeout_s"]


def test_a_list_that_was_cut_says_no_number_that_it_does_not_know():
    assert alerts.milder(100, 100) == ""
    assert alerts.milder(130, 100).startswith("30 more fire")
    assert alerts.milder(1_000, 100).startswith("At least 900 more fire")
