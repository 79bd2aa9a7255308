"""Where notifications may go: the addresses that attackers try, and names that change their mind."""

from __future__ import annotations

import base64
import socket
import ssl
import subprocess
import threading
from contextlib import suppress

import pytest

from receivers import mailbox, webhook
from tachograph_collector.alerts import apprise_process
from tachograph_collector.alerts.apprise_process import AppriseProcess, _without
from tachograph_collector.alerts.network import BlockedError, is_allowed, networks, resolve
from tachograph_collector.alerts.outbox import LEASE_S
from tachograph_collector.alerts.targets import Target, kind_of, masked
from tachograph_collector.alerts.webhook import UndeliveredError, new_secret, post, signature

HERE = networks("127.0.0.0/8")
SECRET = new_secret()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "::7f00:1", "::ffff:0:7f00:1", "fec0::1",
        "168.63.129.16", "192.0.0.8",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(address):
    assert not is_allowed(address, ())


def test_public_addresses_and_networks_that_were_named_are_not():
    assert is_allowed("93.184.216.34", ())
    assert is_allowed("2606:2800:220:1::1", ())
    assert is_allowed("10.1.2.3", networks("10.1.2.0/24"))
    assert not is_allowed("10.1.3.3", networks("10.1.2.0/24"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f000001", "localhost", "0177.0.0.1", "[::1]"]
)
def test_a_webhook_to_this_machine_is_refused_however_it_is_written(host):
    with webhook() as hook, pytest.raises(BlockedError, match="TACHO_ALERT_NETWORKS"):
        post(hook.url.replace("127.0.0.1", host), SECRET, "m", b"{}", ())
    assert hook.bodies == []


def test_a_name_is_resolved_once_and_every_address_of_it_is_looked_at(monkeypatch):
    asked = []

    def rebinding(host, port, **_):
        asked.append(host)
        return [(2, 1, 6, "", ("93.184.216.34", port)), (2, 1, 6, "", ("169.254.169.254", port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with pytest.raises(BlockedError, match=r"169\.254"):
        resolve("rebind.example", 443, ())
    assert asked == ["rebind.example"]


def test_a_redirect_is_not_followed_and_says_so():
    with webhook() as hook:
        hook.answers[:] = [302]
        with pytest.raises(UndeliveredError, match=r"302 \(redirects"):
            post(hook.url, SECRET, "m", b"{}", HERE)
    assert len(hook.bodies) == 1


def test_without_tls_only_into_networks_that_were_named():
    with pytest.raises(BlockedError, match="TLS"):
        post("http://93.184.216.34/x", SECRET, "m", b"{}", HERE)


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    """A context for a server of this machine, whose certificate everybody here trusts."""
    key, found = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    words += ["-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    subprocess.run([*words, "-keyout", key, "-out", found], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(found))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(found, key)
    return context


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_receiver_that_trickles_is_cut(scheme, certificate, monkeypatch):
    monkeypatch.setattr("tachograph_collector.alerts.webhook._WHOLE_S", 0.5)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def trickle() -> None:
            # On a busy machine the time is up in the middle of the handshake.
            with suppress(OSError), server.accept()[0] as connection:
                stream = connection
                if scheme == "https":
                    stream = certificate.wrap_socket(connection, server_side=True)
                with stream:
                    while not over.wait(0.05):
                        stream.sendall(b"HTTP")

        thread = threading.Thread(target=trickle)
        thread.start()
        # Whoever is not cut reads until we let go.
        patience = threading.Timer(20, over.set)
        patience.start()
        with pytest.raises(UndeliveredError):
            post(f"{scheme}://127.0.0.1:{server.getsockname()[1]}/", SECRET, "m", b"{}", HERE)
        assert not over.is_set()
        patience.cancel()
        over.set()
        thread.join()


def test_the_signature_is_that_of_standard_webhooks():
    """The vector that their libraries are tested with."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert len(base64.b64decode(new_secret().removeprefix("whsec_"))) == 32


@pytest.mark.parametrize(
    "url",
    ["", "nothing", "https://", "http://user:pw@host/", "https://h/a b", "https://h:99999/", "syslog://", "dbus://x",
     "file:///etc/passwd", "javascript:alert(1)", "https://h/\r\nx: y"],
)  # fmt: skip
def test_what_is_no_target_is_refused(url):
    if url.startswith("file"):
        # Apprise has no such service; it is refused when it is used.
        assert kind_of(url) == "apprise"
        return
    with pytest.raises(ValueError):
        kind_of(url)


def test_urls_are_shown_without_what_is_secret():
    hook = Target("1", "p", "n", "webhook", "https://hooks.example.com:8443/T0/s3cr3t?k=v", "")
    assert masked(hook) == "https://hooks.example.com/…"
    slack = Target(
        "1",
        "p",
        "n",
        "apprise",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general",
        "",
    )
    assert masked(slack) == "slack://…"
    said = _without(slack.url, "T1JJ3T3L2 said no to A1BRTD4JD and TIiajkdnlazkcOXrIdevi7FQ")
    assert said == "… said no to … and …"


def test_a_start_is_given_more_time_than_an_answer_and_once(monkeypatch):
    given, line = [], apprise_process._line
    monkeypatch.setattr(
        apprise_process,
        "_line",
        lambda stream, wait_s: (given.append(wait_s), line(stream, wait_s))[1],
    )
    process = AppriseProcess(HERE)
    try:
        for _ in range(2):
            with pytest.raises(UndeliveredError, match="does not know"):
                process.send("nothing://x", "t", "b", "info")
    finally:
        process.close()
    start_s, answer_s = apprise_process._START_S, apprise_process._ANSWER_S
    assert given == [start_s, answer_s, answer_s]
    assert start_s > answer_s
    assert apprise_process._TURN_S + start_s + answer_s < LEASE_S


def test_apprise_reaches_what_is_allowed_and_nothing_else():
    with mailbox() as (address, mails):
        url = f"mailto://{address}?from=tacho@example.com&to=jo@example.com&mode=insecure"
        free, fenced = AppriseProcess(HERE), AppriseProcess(())
        try:
            free.send(url, "Critical: r", "text", "failure")
            assert [mail["subject"] for mail in mails] == ["Critical: r"]
            for blocked in (url, f"json://{address}/x", "json://localhost:1/x", "syslog://"):
                with pytest.raises(UndeliveredError):
                    fenced.send(blocked, "t", "b", "info")
            assert len(mails) == 1
            with pytest.raises(UndeliveredError, match="does not know"):
                free.send("nothing://x", "t", "b", "info")
        finally:
            free.close()
            fenced.close()
