"""Deciding by link: a real collector, real HTTP, a real browser, both kinds of database."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from collector_process import Collector

from postgres_server import postgres
from tachograph_schemas.control import APPROVALS, AUDIT, KEYS
from tachograph_schemas.control_client import ControlClient

OWNER = "owner-of-this-collector"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def collector(request, tmp_path_factory):
    home = tmp_path_factory.mktemp("links") / "home"
    if request.param == "sqlite":
        running = Collector(home, TACHO_API_KEY=OWNER).start()
        yield running
        running.stop()
        return
    with postgres() as url:
        running = Collector(home, TACHO_API_KEY=OWNER, TACHO_CONTROL_DB=url).start()
        yield running
        running.stop()


@pytest.fixture
def owner(collector):
    return ControlClient(collector.url, OWNER)


def asked(client: ControlClient, **more) -> dict:
    key = hashlib.sha256(f"{more} {time.time_ns()}".encode()).hexdigest()
    body = {"idempotency_key": key, "action": "refund A-1", "params": '{"usd":1}'} | more
    answer = client.call("POST", APPROVALS, body)
    assert answer, answer.why
    return dict(answer.data)


def links(client: ControlClient, request: dict, approver: str = "maria", **more):
    return client.call("POST", f"{APPROVALS}/{request['id']}/links", {"approver": approver} | more)


def token(link: str) -> str:
    return link.partition("#")[2]


def spend(collector: Collector, link: str, request: dict, reason: str = ""):
    """As the page does it: without a key."""
    body = {"token": token(link), "params_hash": request["params_hash"], "reason": reason}
    return ControlClient(collector.url).call("POST", "/decide", body)


def test_a_link_decides_once_as_the_person_it_was_made_for(collector, owner):
    request = asked(owner)
    pair = links(owner, request).data
    assert pair["approve"].startswith(f"{collector.url}/decide#")
    done = spend(collector, pair["approve"], request, "seen the photos")
    assert (done.status, done.data) == (200, {"status": "approved"})
    said = owner.call("GET", f"{APPROVALS}/{request['id']}").data["decisions"]
    assert [(each["approver"], each["vouched"], each["reason"]) for each in said] == [
        ("maria", "link", "seen the photos")
    ]
    for link in (pair["approve"], pair["refuse"]):
        again = spend(collector, link, request)
        assert (again.status, again.why) == (410, "This link was used already; it works once.")
    entries = owner.call("GET", AUDIT).data["entries"]
    actions = [each["action"] for each in entries if each["subject"] == request["id"]]
    assert sorted(actions) == ["approval.allow", "approval.ask", "approval.link"]
    assert owner.call("GET", f"{AUDIT}/verify").data["sound"]


def test_opening_a_link_changes_nothing_and_a_stranger_s_opens_nothing(collector, owner):
    request = asked(owner)
    pair = links(owner, request).data
    for _ in range(2):
        with urllib.request.urlopen(pair["approve"]) as page:
            assert page.status == 200
            assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
            assert page.headers["Referrer-Policy"] == "no-referrer"
            assert request["action"] not in page.read().decode()
    keyless = ControlClient(collector.url)
    held = {"token": token(pair["approve"])}
    assert keyless.call("POST", "/decide/look", held).data["request"]["params"] == '{"usd":1}'
    assert owner.call("GET", f"{APPROVALS}/{request['id']}").data["status"] == "pending"
    for wrong in ("", "x", token(pair["approve"])[:-1], token(pair["approve"]) + "A"):
        answer = keyless.call("POST", "/decide/look", {"token": wrong})
        assert (answer.status, answer.why) == (410, "This link is not valid.")
    assert keyless.call("GET", f"{APPROVALS}/{request['id']}").status == 401
    foreign = urllib.request.Request(
        f"{collector.url}/decide/look",
        json.dumps(held).encode(),
        {"Content-Type": "application/json", "Origin": "https://evil.example"},
    )
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(foreign)


def test_a_link_is_for_what_was_shown_and_ends_with_its_time(collector, owner):
    request = asked(owner)
    pair = links(owner, request).data
    other = spend(collector, pair["approve"], request | {"params_hash": "0" * 64})
    assert other.status == 409
    assert spend(collector, pair["refuse"], request, "no").data == {"status": "refused"}
    brief = asked(owner)
    short = links(owner, brief, lifetime_s=0.001).data
    expired = spend(collector, short["approve"], brief)
    assert (expired.status, expired.why) == (410, "This link has expired.")
    assert links(owner, request).status == 409, "it is decided"
    assert links(owner, {"id": "0" * 16}).status == 404


def test_two_links_raced_decide_once(collector, owner):
    for _ in range(20):
        request = asked(owner)
        pair = links(owner, request).data
        line = threading.Barrier(4)

        def go(which: str, pair=pair, request=request, line=line):
            line.wait()
            return spend(collector, pair[which], request, "x").status

        with ThreadPoolExecutor(4) as pool:
            said = list(pool.map(go, ["approve", "refuse"] * 2))
        assert said.count(200) == 1
        assert set(said) <= {200, 409, 410}
        assert len(owner.call("GET", f"{APPROVALS}/{request['id']}").data["decisions"]) == 1


def test_a_key_s_links_are_one_voice_and_die_with_the_key(collector, owner):
    made = owner.call("POST", KEYS, {"name": "notifier", "role": "operate", "project": "default"})
    notifier = ControlClient(collector.url, made.data["key"])
    request = asked(owner, approvers_needed=2, requester="Ann")
    first, second = links(notifier, request, "maria").data, links(notifier, request, "jo").data
    assert spend(collector, first["approve"], request).data == {"status": "pending"}
    refused = spend(collector, second["approve"], request)
    assert refused.status == 409, "one key cannot be several people"
    assert links(notifier, request, "ann").status == 403, "she asked"
    unspent = links(owner, request, "kim").data
    assert owner.call("DELETE", f"{KEYS}/{made.data['id']}")
    gone = spend(collector, second["refuse"], request, "no")
    assert (gone.status, gone.why) == (410, "This link is not valid.")
    assert spend(collector, unspent["approve"], request).data == {"status": "approved"}


def test_who_may_not_decide_makes_no_links(collector, owner):
    request = asked(owner)
    for role in ("ingest", "read"):
        made = owner.call("POST", KEYS, {"name": role, "role": role, "project": "default"})
        assert links(ControlClient(collector.url, made.data["key"]), request).status == 403
    made = owner.call("POST", KEYS, {"name": "x", "role": "admin", "project": "elsewhere"})
    elsewhere = ControlClient(collector.url, made.data["key"])
    assert links(elsewhere, request).status == 404
    theirs = asked(elsewhere)
    assert links(elsewhere, theirs).status == 403, "the key that asked"


def test_beyond_this_machine_links_need_a_public_address(tmp_path):
    bound = {"TACHO_HOST": "0.0.0.0", "TACHO_API_KEY": OWNER}
    running = Collector(tmp_path / "without", **bound).start()
    try:
        client = ControlClient(_here(running), OWNER)
        answer = links(client, asked(client))
        assert answer.status == 409
        assert "TACHO_PUBLIC_URL" in answer.why
    finally:
        running.stop()
    public = {"TACHO_PUBLIC_URL": "https://tacho.example.com/"}
    running = Collector(tmp_path / "with", **bound, **public).start()
    try:
        client = ControlClient(_here(running), OWNER)
        pair = links(client, asked(client)).data
        assert pair["refuse"].startswith("https://tacho.example.com/decide#")
    finally:
        running.stop()


def _here(collector: Collector) -> str:
    return collector.url.replace("0.0.0.0", "127.0.0.1")
