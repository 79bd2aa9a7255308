"""Keys, approvals, orders and the audit log: a real collector process, real HTTP, the real database file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from collector_process import Collector
from sqlalchemy import insert, select

from otlp import plain_body
from pipeline import until
from postgres_server import postgres
from tachograph.cli import decide as decide_command
from tachograph_collector.control import database as control_database
from tachograph_collector.control.approvals import (
    Approvals,
    ConflictError,
    Request,
    Said,
    params_hash,
)
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database, DatabaseError
from tachograph_collector.control.keys import KeyStore
from tachograph_collector.control.tables import METADATA, VERSIONS
from tachograph_collector.errors import StartError
from tachograph_schemas.control import APPROVALS, AUDIT, KEYS, ORDERS, WAITING
from tachograph_schemas.control_client import ControlClient

OWNER = "owner-of-this-collector"
SOON_S = 15
"""Far longer than a waiting request takes to be woken on a busy machine, far shorter than the 25 s after which it answers anyway."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database_url(request, tmp_path_factory):
    """Both kinds of control database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('control') / 'control.db'}"
    else:
        with postgres() as url:
            yield url


@pytest.fixture(scope="module")
def collector(database_url, tmp_path_factory):
    """A collector that asks for keys, with an admin's key of the project default."""
    home = tmp_path_factory.mktemp("control") / "home"
    running = Collector(home, TACHO_API_KEY=OWNER, TACHO_CONTROL_DB=database_url).start()
    yield running
    running.stop()


@pytest.fixture
def owner(collector):
    return ControlClient(collector.url, OWNER)


@pytest.fixture
def client_of(collector, owner):
    """A client with a fresh key of a role and a project."""

    def make(role: str, project: str = "default", name: str = "") -> ControlClient:
        named = {"name": name or role, "role": role, "project": project}
        made = owner.call("POST", KEYS, named)
        assert made, made.why
        return ControlClient(collector.url, made.data["key"])

    return make


def asked(client: ControlClient, number: object = 0, **more) -> dict:
    key = hashlib.sha256(f"{number} {more} {time.time_ns()}".encode()).hexdigest()
    body = {"idempotency_key": key, "action": f"action {number}", "params": '{"usd":1}'} | more
    answer = client.call("POST", APPROVALS, body)
    assert answer, answer.why
    return dict(answer.data)


def decide(client: ControlClient, request: dict, decision: str = "allow", **more):
    body = {"decision": decision, "params_hash": request["params_hash"], "approver": "maria"} | more
    return client.call("POST", f"{APPROVALS}/{request['id']}/decision", body)


ALLOWED = {
    # Listing, counting, deciding, giving orders, making keys, looking into the quarantine of all, asking.
    "ingest": (403, 403, 403, 403, 403, 403, 200),
    "read": (200, 200, 403, 403, 403, 403, 403),
    "operate": (200, 200, 200, 200, 403, 403, 403),
    "admin": (200, 200, 200, 200, 200, 403, 200),
}


@pytest.mark.parametrize("role", ALLOWED)
def test_a_role_may_do_this_and_nothing_else(client_of, owner, role):
    request = asked(owner)
    client = client_of(role)
    order = {"action": "pause", "scope": "agent", "target": "nobody"}
    question = {"idempotency_key": os.urandom(32).hex(), "action": "x"}
    said = (
        client.call("GET", APPROVALS),
        client.call("GET", WAITING),
        decide(client, request),
        client.call("POST", ORDERS, order),
        client.call("POST", KEYS, {"name": "x", "role": "read"}),
        client.call("GET", "/api/v1/quarantine"),
        client.call("POST", APPROVALS, question),
    )
    assert tuple(answer.status for answer in said) == ALLOWED[role]
    assert client.call("GET", ORDERS).status == 200


def test_projects_do_not_see_each_other(client_of):
    ours, theirs = client_of("admin", "ours"), client_of("admin", "theirs")
    request = asked(ours)
    ours.call("POST", ORDERS, {"action": "pause", "scope": "all"})
    assert theirs.call("GET", APPROVALS).data["total"] == 0
    assert theirs.call("GET", f"{APPROVALS}/{request['id']}").status == 404
    assert decide(theirs, request).status == 404
    assert theirs.call("GET", ORDERS).data["orders"] == []
    assert theirs.call("POST", f"{ORDERS}/end", {"scope": "all"}).data["ended"] == []
    assert theirs.call("POST", KEYS, {"name": "x", "role": "read", "project": "ours"}).status == 403
    ids = [key["id"] for key in ours.call("GET", KEYS).data["keys"]]
    assert ids
    assert theirs.call("DELETE", f"{KEYS}/{ids[0]}").status == 404
    assert {entry["project"] for entry in theirs.call("GET", AUDIT).data["entries"]} == {"theirs"}
    assert ours.call("POST", f"{ORDERS}/end", {"scope": "all"}).data["ended"]


def test_an_agent_s_key_reads_its_own_requests_alone(client_of, owner):
    first, second = client_of("ingest"), client_of("ingest")
    request = asked(first)
    path = f"{APPROVALS}/{request['id']}"
    assert first.call("GET", path).status == 200
    assert second.call("GET", path).status == 404
    assert owner.call("GET", path).status == 200


def send(collector: Collector, key: str) -> int:
    import urllib.error
    import urllib.request

    body = plain_body(time.time_ns(), 1)
    request = urllib.request.Request(
        f"{collector.url}/v1/traces",
        body,
        {"Content-Type": "application/x-protobuf", "Authorization": f"Bearer {key}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=180) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_spans_go_to_the_project_of_their_key_until_it_is_revoked(collector, owner):
    made = owner.call("POST", KEYS, {"name": "agent", "role": "ingest", "project": "shop"}).data
    assert send(collector, made["key"]) == 200
    until(lambda: collector.rows("SELECT 1 FROM spans WHERE project = 'shop'"))
    assert send(collector, made["key"].swapcase()) == 401
    assert send(collector, made["key"][:-1]) == 401
    assert send(collector, made["key"] + "x") == 401
    assert owner.call("DELETE", f"{KEYS}/{made['id']}")
    assert send(collector, made["key"]) == 401
    reader = owner.call("POST", KEYS, {"name": "reader", "role": "read"}).data
    assert send(collector, reader["key"]) == 401, "who may read may not send"


def test_the_database_holds_no_key(database_url, owner):
    made = owner.call("POST", KEYS, {"name": "secret", "role": "admin"}).data
    secret = made["key"].partition(f"{made['id']}_")[2]
    assert len(secret) > 20
    database = Database(database_url)
    with database.read() as connection:
        stored = str(
            [connection.execute(select(table)).all() for table in METADATA.tables.values()]
        )
    database.close()
    assert made["id"] in stored
    assert secret not in stored
    assert secret not in str(owner.call("GET", KEYS).data)
    if database.path is not None:
        for path in database.path.parent.glob("control.db*"):
            assert secret.encode() not in path.read_bytes()
            assert path.stat().st_mode & 0o077 == 0, "nobody else on the machine reads it"


def test_another_collector_learns_of_a_revocation(database_url, tmp_path):
    databases = [Database(database_url), Database(database_url)]
    stores = [
        KeyStore(database, Audit(database, tmp_path / f"head{number}"))
        for number, database in enumerate(databases)
    ]
    try:
        key, text = stores[0].create("x", "ingest", "default", "test")
        stores[1].start()
        until(lambda: stores[1].find(text.encode()) is not None)
        stores[0].revoke(key.id, "test")
        until(lambda: stores[1].find(text.encode()) is None)
    finally:
        stores[1].stop()
        for database in databases:
            database.close()


def test_two_deciders_race_and_exactly_one_wins(client_of, owner):
    deciders = [client_of("operate"), client_of("operate")]
    with ThreadPoolExecutor(2) as pool:
        for number in range(200):
            request = asked(owner, number)
            line = threading.Barrier(2)

            def go(which: int, request=request, line=line):
                line.wait()
                word = ("allow", "deny")[which]
                return decide(deciders[which], request, word, approver=f"p{which}").status

            assert sorted(pool.map(go, (0, 1))) == [200, 409]
            found = owner.call("GET", f"{APPROVALS}/{request['id']}").data
            assert len(found["decisions"]) == 1
            wanted = {"allow": "approved", "deny": "refused"}[found["decisions"][0]["decision"]]
            assert found["status"] == wanted
    assert owner.call("GET", f"{AUDIT}/verify").data["sound"]


def test_two_collectors_of_one_database_race_and_exactly_one_wins(database_url, tmp_path):
    databases = [Database(database_url), Database(database_url)]
    inboxes = [
        Approvals(each, Audit(each, tmp_path / f"head-{number}"), lambda _: None)
        for number, each in enumerate(databases)
    ]
    try:
        with ThreadPoolExecutor(2) as pool:
            for number in range(20):
                key = hashlib.sha256(f"{number} {time.time_ns()}".encode()).hexdigest()
                request = Request(key, "", "", "", "x", "{}", None, "", "", "", 1, 60.0)
                # Asked through both as well: there is one request.
                ids = {inbox.ask(request, "race", "", "")["id"] for inbox in inboxes}
                assert len(ids) == 1
                line = threading.Barrier(2)

                def go(which: int, ids=ids, line=line) -> bool:
                    word = ("allow", "deny")[which]
                    said = Said(word, f"p{which}", "", params_hash("{}"))
                    line.wait()
                    try:
                        inboxes[which].decide(next(iter(ids)), "race", said, said.approver)
                    except ConflictError:
                        return False
                    return True

                assert sorted(pool.map(go, (0, 1))) == [False, True]
                assert len(inboxes[0].get(next(iter(ids)), "race")["decisions"]) == 1
    finally:
        for database in databases:
            database.close()


def test_a_collector_that_was_frozen_in_its_turn_does_not_keep_the_others_from_writing(
    database_url, monkeypatch
):
    """Its machine may be gone without a word: PostgreSQL would hold its lock until TCP gives up."""
    if database_url.startswith("sqlite"):
        pytest.skip("a process that is gone holds no lock of SQLite's")
    monkeypatch.setattr(control_database, "BUSY_TIMEOUT_S", 0.2)
    monkeypatch.setattr(control_database, "WRITER_IDLE_S", 1.0)
    with contextlib.ExitStack() as stack:
        frozen, other = Database(database_url), Database(database_url)
        for each in (frozen, other):
            stack.callback(each.close)
        with pytest.raises(DatabaseError):
            freezes(frozen, lambda: writes(other))
        # With the limits of always: on a full machine this one may take longer than those above.
        monkeypatch.undo()
        with frozen.write() as connection:
            versions = connection.execute(select(VERSIONS.c.version)).scalars().all()
    assert 9_999 not in versions


def freezes(database: Database, meanwhile) -> None:
    with database.write() as held:
        held.execute(insert(VERSIONS).values(version=9_999, applied_ns=1))
        until(meanwhile, 60)
        held.execute(select(VERSIONS.c.version))


def writes(database: Database) -> bool:
    with contextlib.suppress(DatabaseError), database.write():
        return True
    return False


def test_several_people_must_agree_and_one_may_refuse(owner, client_of):
    request = asked(client_of("ingest"), approvers_needed=2, requester="Ann")
    assert decide(owner, request).data["status"] == "pending"
    again = decide(owner, request, approver="MARIA")
    assert again.status == 409, "one person is one voice"
    assert decide(owner, request, approver="ann").status == 403
    edits = decide(owner, request, approver="jo", params="{}")
    assert edits.status == 409
    assert decide(owner, request, "escalate", approver="jo").data["status"] == "pending"
    passed_on = decide(owner, request, approver="Jo")
    assert (passed_on.status, passed_on.why) == (
        403,
        "Jo has passed it on; somebody else decides.",
    )
    done = decide(owner, request, approver="kim").data
    assert done["status"] == "approved"
    assert [said["approver"] for said in done["decisions"]] == ["maria", "jo", "kim"]
    assert {said["vouched"] for said in done["decisions"]} == {"self-declared"}


def test_with_a_key_its_name_decides_and_not_the_one_that_is_typed(owner, client_of):
    person = client_of("operate", name="maria's key")
    request = asked(owner, approvers_needed=2)
    first = decide(person, request, approver="jo").data["decisions"]
    assert [(said["approver"], said["vouched"]) for said in first] == [("maria's key", "key")]
    assert decide(person, request, approver="kim").status == 409, "one key is one voice"
    entry = next(
        each
        for each in owner.call("GET", AUDIT).data["entries"]
        if each["subject"] == request["id"]
    )
    assert "jo (key " in entry["actor"]


def test_the_beginning_of_an_id_finds_a_request_among_any_number(owner, monkeypatch):
    """They are asked for in parts; here of two."""
    monkeypatch.setattr(decide_command, "_AT_ONCE", 2)
    for request in [asked(owner, number) for number in range(5)]:
        assert decide_command._one(owner, request["id"][:12], ("pending",)) == request


def test_the_requester_may_approve_where_the_policy_lets_them(owner):
    request = asked(owner, requester="Ann", requester_may_approve=True)
    assert request["requester_may_approve"]
    assert decide(owner, request, approver="ann").data["status"] == "approved"


def test_the_key_that_asks_may_not_decide(client_of):
    admin = client_of("admin")
    refused = decide(admin, asked(admin))
    assert (refused.status, refused.why) == (403, "The key that asked may not decide.")


def test_asked_again_is_the_same_request(owner):
    body = {"idempotency_key": "a" * 64, "action": "once", "params": "{}"}
    first = owner.call("POST", APPROVALS, body).data
    decide(owner, first)
    second = owner.call("POST", APPROVALS, body).data
    assert second["id"] == first["id"]
    assert second["status"] == "approved"


def test_a_long_poll_answers_when_it_is_decided(owner):
    request = asked(owner)
    path = f"{APPROVALS}/{request['id']}"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(owner.call, "GET", path, query={"wait_s": 25}, timeout_s=40)
        assert not waiting.done()
        decide(owner, request)
        decided_s = time.monotonic()
        assert waiting.result(20).data["status"] == "approved"
    assert time.monotonic() - decided_s < SOON_S


def test_whoever_listens_hears_of_every_order_and_of_its_end_at_once(client_of):
    client = client_of("admin", "listens")
    aim = {"scope": "agent", "target": "billing"}
    changes = (
        lambda: client.call("POST", ORDERS, aim | {"action": "pause"}),
        lambda: client.call("POST", f"{ORDERS}/end", aim),
    )
    tag, tags = client.call("GET", ORDERS).data["tag"], set()
    with ThreadPoolExecutor(1) as pool:
        for change in changes * 3:
            query = {"known": tag, "wait_s": 25}
            listening = pool.submit(client.call, "GET", ORDERS, query=query, timeout_s=40)
            assert change()
            changed_s = time.monotonic()
            tag = listening.result(30).data["tag"]
            assert time.monotonic() - changed_s < SOON_S
            tags.add(tag)
    assert len(tags) == 6, "no state is taken for another"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"idempotency_key": "short", "action": "x"},
        {"idempotency_key": "b" * 64, "action": "x", "params": "{not json"},
        {"idempotency_key": "b" * 64, "action": "x", "params": "NaN"},
        {"idempotency_key": "b" * 64, "action": "x", "params": "[" * 100_000},
        {"idempotency_key": "b" * 64, "action": "x", "timeout_s": 1e12},
        {"idempotency_key": "b" * 64, "action": "x", "approvers_needed": 0},
        {"idempotency_key": "b" * 64, "action": "x", "unknown": 1},
        {"idempotency_key": "\ud800" * 64, "action": "x", "\ud800": 1},
    ],
    ids=range(9),
)
def test_what_makes_no_sense_is_refused(owner, body):
    assert owner.call("POST", APPROVALS, body).status == 422


def test_half_characters_and_nul_are_stored_as_something_harmless(owner):
    request = asked(owner, action="nul \0 half \ud800", params='"\\ud800"')
    assert request["action"] == "nul \ufffd half ?"


def test_a_page_of_a_browser_gets_nothing(tmp_path):
    """Without a key this machine is trusted, its browser's pages are not."""
    collector = Collector(tmp_path / "home").start()
    try:
        assert ControlClient(collector.url).call("GET", KEYS)
        for header in ({"Origin": collector.url}, {"Host": "rebound.example"}):
            page = ControlClient(collector.url, headers=header)
            assert page.call("GET", KEYS).status == 403, header
        assert ControlClient(collector.url, "tacho_000000000000_x").call("GET", KEYS).status == 401
    finally:
        assert collector.stop() == 0


def test_beyond_this_machine_a_key_is_needed_and_a_made_one_will_do(tmp_path):
    collector = Collector(tmp_path / "home").start()
    made = ControlClient(collector.url).call("POST", KEYS, {"name": "first", "role": "admin"}).data
    collector.stop()

    open_door = {"TACHO_HOST": "0.0.0.0"}
    refused = subprocess.run(
        [sys.executable, "-m", "tachograph.cli", "up", "--no-dashboard"],
        env=collector.environment | open_door | {"TACHO_HOME": str(tmp_path / "other")},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert refused.returncode != 0
    assert "tacho key create" in refused.stderr
    collector.environment |= open_door
    collector.start()
    try:
        url = collector.url.replace("0.0.0.0", "127.0.0.1")
        assert ControlClient(url).call("GET", KEYS).status == 401
        assert ControlClient(url, made["key"]).call("GET", KEYS)
    finally:
        collector.stop()


def _tamper(path, *statements: str) -> None:
    with sqlite3.connect(path) as connection:
        for verb in ("update", "delete"):
            connection.execute(f"DROP TRIGGER audit_no_{verb}")
        for statement in statements:
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE seq = 3", "entry 3 is not what was written"),
        ("UPDATE audit SET detail = '{}' WHERE seq = 2", "entry 2 is not what was written"),
        ("DELETE FROM audit WHERE seq = 2", "entry 2 is missing"),
        ("DELETE FROM audit WHERE seq = 5", "the entries after 4 are gone; there were 5"),
        ("DELETE FROM audit", "the entries after 0 are gone; there were 5"),
    ],
)
def test_whoever_alters_the_audit_log_is_found_out(tmp_path, statement, problem):
    path = tmp_path / "control.db"
    database = Database(f"sqlite:///{path}")
    audit = Audit(database, tmp_path / "audit.head")
    store = KeyStore(database, audit)
    for number in range(5):
        store.create(f"key {number}", "read", "default", "test")
    assert audit.verify().sound
    with pytest.raises(sqlite3.IntegrityError, match="only grows"), sqlite3.connect(path) as raw:
        raw.execute(statement)
    raw.close()
    _tamper(path, statement)
    verdict = audit.verify()
    assert (verdict.sound, verdict.problem) == (False, problem)
    database.close()


def test_a_database_of_a_newer_version_is_left_alone(tmp_path):
    path = tmp_path / "control.db"
    Database(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO control_versions VALUES (99, 0)")
    connection.close()
    with pytest.raises(StartError, match="newer Tachograph"):
        Database(f"sqlite:///{path}")
