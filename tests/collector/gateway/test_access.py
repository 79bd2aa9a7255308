"""Who gets in: every place a client may put the token, and every way of not having it."""

from __future__ import annotations

import base64

import pytest


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def credentials(kind: str, token: str) -> tuple[dict[str, str], str]:
    return {
        "basic": (basic("anyone", token), ""),
        "basic without a user": (basic("", token), ""),
        "clickhouse headers": ({"X-ClickHouse-User": "grafana", "X-ClickHouse-Key": token}, ""),
        "url": ({}, f"user=default&password={token}"),
        "bearer": ({"Authorization": f"Bearer {token}"}, ""),
    }[kind]


KINDS = ["basic", "basic without a user", "clickhouse headers", "url", "bearer"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_token_opens_wherever_clients_put_a_password(gateway, http, kind):
    headers, query = credentials(kind, gateway.token)
    response = http.request("POST", f"{gateway.url}/?{query}", body="SELECT 1", headers=headers)
    assert (response.status, response.data) == (200, b"1\n")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", ["", "wrong", "é", "{token}x", "{half}"])
def test_a_wrong_token_is_refused_the_way_the_server_refuses(gateway, http, kind, wrong):
    bad = wrong.format(token=gateway.token, half=gateway.token[:16])
    if kind in {"clickhouse headers", "bearer"}:
        bad = bad.encode().decode("latin-1")
    headers, query = credentials(kind, bad)
    response = http.request("POST", f"{gateway.url}/?{query}", body="SELECT 1", headers=headers)
    assert response.status == 401
    assert response.headers["X-ClickHouse-Exception-Code"] == "516"
    assert response.data.startswith(b"Code: 516. DB::Exception: ")
    assert b"(AUTHENTICATION_FAILED)" in response.data
    assert "Basic" in response.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Basic"}, {"Authorization": "Basic %%%"}, {"Authorization": "Digest x"}],
)
def test_no_token_at_all_is_refused(gateway, http, headers):
    assert http.request("POST", gateway.url, body="SELECT 1", headers=headers).status == 401
    assert http.request("GET", gateway.url + "/?query=SELECT+1", headers=headers).status == 401


def test_a_right_and_a_wrong_password_together_are_refused(gateway, http):
    url = f"{gateway.url}/?password=wrong"
    response = http.request("POST", url, body="SELECT 1", headers=basic("u", gateway.token))
    assert response.status == 401


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ping_and_the_root_need_no_token(gateway, http, method):
    for path in ("/ping", "/"):
        response = http.request(method, gateway.url + path)
        assert response.status == 200
        assert response.data == (b"Ok.\n" if method == "GET" else b"")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]", "127.0.0.53", "LOCALHOST"])
def test_loopback_names_with_the_port_are_served(gateway, http, name):
    port = gateway.url.rpartition(":")[2]
    assert (
        http.request("GET", gateway.url + "/ping", headers={"Host": f"{name}:{port}"}).status == 200
    )


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:{port}",
        "127.0.0.1.evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost:{port}.evil",
        "192.168.0.1:{port}",
        "0.0.0.0:{port}",
        "",
        "@127.0.0.1:{port}",
    ],
)
def test_a_foreign_host_name_is_refused_even_with_the_token(gateway, http, host):
    """A page on a name that resolves to this machine must not reach the engine."""
    port = gateway.url.rpartition(":")[2]
    headers = {"Host": host.format(port=port), "X-ClickHouse-Key": gateway.token}
    response = http.request("POST", gateway.url, body="SELECT 1", headers=headers)
    assert response.status in {400, 403}
    assert response.data != b"1\n"
