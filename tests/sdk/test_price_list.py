"""Budgets in dollars are counted by the user's own price list, which no call waits for."""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import tachograph as tacho
from tachograph import _price_list
from tachograph._estimate import Estimate
from tachograph._prices import Usage, estimated_usd, usd_of
from tachograph._spending import add_usage, before_call
from tachograph_schemas.control import PRICES
from tachograph_schemas.control_client import ControlClient

OWN = {
    "model": "our-model", "provider": "", "from_s": 0, "input_usd": 1e-3, "output_usd": 2e-3, "cache_read_usd": 1e-4,
    "cache_write_usd": 1e-3, "cache_write_1h_usd": 2e-3, "set_by": "ann",
}  # fmt: skip
PATIENCE_S = 30


class Prices(ThreadingHTTPServer):
    """A collector that says its list once it is let."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answering)
        self.may_answer = threading.Event()
        self.asked = threading.Event()
        self.client = ControlClient(f"http://127.0.0.1:{self.server_port}")


class Answering(BaseHTTPRequestHandler):
    def do_GET(self):
        assert self.path == PRICES
        self.server.asked.set()
        self.server.may_answer.wait(PATIENCE_S)
        body = json.dumps({"prices": [OWN]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def collector():
    server = Prices()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.may_answer.set()
    _price_list.connect(None)
    server.shutdown()
    server.server_close()


def until(condition):
    """Wait for what another thread does."""
    waited = threading.Event()
    for _ in range(PATIENCE_S * 100):
        if condition():
            return
        waited.wait(0.01)
    raise AssertionError("it did not happen")


def test_the_list_is_asked_for_in_the_background_and_kept(collector, tmp_path):
    """No call waits for it; the next process knows it without the collector."""
    usage = Usage(1_000, 100, cache_read_tokens=400)
    _price_list.connect(collector.client, tmp_path)
    assert usd_of("our-model", None, usage) is None
    assert collector.asked.wait(PATIENCE_S)
    collector.may_answer.set()
    until(lambda: usd_of("our-model", None, usage) is not None)
    assert usd_of("our-model", "anyone", usage) == pytest.approx(0.6 + 0.2 + 0.04)
    (kept,) = tmp_path.glob("prices-*.json")
    _price_list.connect(None)
    assert usd_of("our-model", None, usage) is None
    collector.may_answer.clear()
    _price_list.connect(collector.client, tmp_path)
    assert estimated_usd("our-model", "", Usage(1_000, 0)) == pytest.approx(1.0)
    assert "our-model" in kept.read_text(encoding="utf-8")


def test_other_models_cost_what_the_public_list_says(collector, tmp_path):
    collector.may_answer.set()
    _price_list.connect(collector.client, tmp_path)
    until(lambda: usd_of("our-model", None, Usage(1, 0)) is not None)
    assert usd_of("gpt-4o", "openai", Usage(1_000_000, 0)) == pytest.approx(2.5)
    assert usd_of("no-such-model", None, Usage(1, 0)) is None


def test_a_budget_holds_and_charges_by_the_users_prices(collector, tmp_path, spans):
    """The estimate as well: a call that cannot fit is not made."""
    collector.may_answer.set()
    _price_list.connect(collector.client, tmp_path)
    with tacho.budget(usd=3.0) as budget:
        until(lambda: usd_of("our-model", None, Usage(1, 0)) is not None)
        add_usage(input_tokens=1_000, output_tokens=100, model="our-model")
        assert budget.used("usd") == pytest.approx(1.2)
        with pytest.raises(tacho.BudgetExceeded) as stop:
            before_call("model", lambda: Estimate(1_000, 1_000, "our-model"))
    assert stop.value.needed == pytest.approx(3.0)


def _line(**odd):
    return json.dumps({"prices": [OWN | {"model": "gpt-4o"} | odd]})


@pytest.mark.parametrize(
    "kept",
    [
        *("", '{"prices"', "[1]", "[" * 100_000, '{"prices": 5}', '{"prices": [{"model": 1}]}'),
        *(_line(input_usd=usd) for usd in (float("nan"), float("inf"), -1, 1e300, "x")),
        *(_line(from_s=at_s) for at_s in (10**30, -(10**15))),
        " " * (17 << 20),
    ],
    ids=lambda kept: kept.strip()[:40],
)
def test_a_kept_list_that_makes_no_sense_is_passed_over(collector, tmp_path, monkeypatch, kept):
    """The public list holds."""
    path = tmp_path / f"prices-{collector.client.identity}.json"
    path.write_text(kept, encoding="utf-8")
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
    _price_list.connect(collector.client, tmp_path)
    assert usd_of("gpt-4o", "openai", Usage(1_000_000, 0)) == pytest.approx(2.5)


def test_a_pipe_in_place_of_the_kept_list_is_not_waited_for(collector, tmp_path):
    os.mkfifo(tmp_path / f"prices-{collector.client.identity}.json")
    _price_list.connect(collector.client, tmp_path)
    assert usd_of("gpt-4o", "openai", Usage(1_000_000, 0)) == pytest.approx(2.5)
