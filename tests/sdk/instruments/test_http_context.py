"""Context in HTTP requests: to own services, never beyond, and nothing else about a request changes."""

from __future__ import annotations

import asyncio

import httpx
import httpx2
import pytest
from openai_server import OpenAIServer, Reply

import tachograph as tacho
from tachograph.instruments import httpx as httpx_hook
from tachograph.instruments import httpx2 as httpx2_hook
from tachograph.instruments._http_seam import is_own_host

LIBRARIES = [(httpx, httpx_hook), (httpx2, httpx2_hook)]


@pytest.fixture(params=LIBRARIES, ids=["httpx", "httpx2"])
def library(request):
    module, hook = request.param
    hook.install()
    yield module
    hook.uninstall()


@pytest.fixture
def server():
    with OpenAIServer() as running:
        running.will_say(Reply({}))
        yield running


@tacho.run(agent="orders")
def in_run(function):
    return tacho.current_run(), function()


def test_a_call_inside_a_run_can_be_gone_on_with(library, server, spans):
    def call():
        with library.Client() as client:
            return client.post(server.url, json={})

    run, response = in_run(call)
    sent = server.headers[0]
    assert run.trace_id in sent["traceparent"]
    assert spans.one().span_id in sent["traceparent"]
    with tacho.continue_from(sent):
        assert tacho.current_run().id == run.id
    assert "traceparent" not in response.request.headers


def test_async_clients_too(library, server, spans):
    async def call():
        async with library.AsyncClient() as client:
            await client.post(server.url, json={})

    run, _ = in_run(lambda: asyncio.run(call()))
    assert run.trace_id in server.headers[0]["traceparent"]


def test_outside_a_run_nothing_is_added(library, server, spans):
    library.post(server.url, json={})
    assert {"traceparent", "baggage"}.isdisjoint(server.headers[0])


def test_what_the_program_sent_itself_stays(library, server, spans):
    mine = {"traceparent": "mine", "authorization": "Bearer x"}
    in_run(lambda: library.post(server.url, json={}, headers=mine))
    assert server.headers[0]["traceparent"] == "mine"


def test_a_redirect_to_another_host_carries_nothing(library, spans):
    seen = []

    def answer(request):
        seen.append((request.url.host, "traceparent" in request.headers))
        if request.url.host == "orders":
            return library.Response(302, headers={"location": "https://elsewhere.example.com/"})
        return library.Response(200)

    def call():
        with library.Client(transport=library.MockTransport(answer)) as client:
            return client.get("http://orders/", follow_redirects=True)

    in_run(call)
    assert seen == [("orders", True), ("elsewhere.example.com", False)]


def test_errors_are_the_library_s(library, spans):
    with pytest.raises(library.ConnectError):
        in_run(lambda: library.get("http://127.0.0.1:9/"))


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "::1",
        "10.1.2.3",
        "192.168.0.4",
        "orders",
        "orders.svc",
        "a.internal",
    ],
)
def test_own_hosts(host):
    assert is_own_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "api.openai.com",
        "8.8.8.8",
        "2001:4860:4860::8888",
        "local.example.com",
        "evilinternal.com",
    ],
)
def test_other_hosts(host):
    assert not is_own_host(host)
