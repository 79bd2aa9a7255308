"""The disk of the control database is full: everybody is told so, nothing is half done, and all goes on once there is room."""

from __future__ import annotations

import hashlib

import pytest
from collector_process import Collector

from faults import diskfull, mounts
from tachograph_schemas.control import APPROVALS, AUDIT, BUDGETS, LEASES
from tachograph_schemas.control_client import ControlClient

DISK_BYTES = 4 << 20


@pytest.fixture
def small_disk(tmp_path):
    if reason := mounts.why_not():
        pytest.skip(reason)
    place = tmp_path / "small"
    place.mkdir()
    with mounts.memory_disk(place, DISK_BYTES):
        yield place


@pytest.fixture
def collector(small_disk, tmp_path):
    url = f"sqlite:///{small_disk / 'control.db'}"
    running = Collector(tmp_path / "home", TACHO_CONTROL_DB=url).start()
    yield running
    running.stop()


def question(number: int) -> dict[str, object]:
    key = hashlib.sha256(str(number).encode()).hexdigest()
    # Larger than what is left over on the pages that the database has.
    return {"idempotency_key": key, "action": f"action {number}", "params": f'"{"x" * 20_000}"'}


def test_a_full_disk_is_said_and_nothing_is_lost_or_doubled(collector, small_disk):
    client = ControlClient(collector.url)
    day = {"name": "day", "limit": 10, "unit": "usd", "window": "day"}
    assert client.call("POST", BUDGETS, {"budgets": [day]})
    kept = [client.call("POST", APPROVALS, question(number)).data for number in range(3)]
    lease = {"lease": "a" * 32, "budget": "day", "need": 1.0}
    assert client.call("POST", LEASES, {"leases": [lease]}).data["leases"][0]["granted"] == 1

    filler = diskfull.fill(small_disk)
    for number in range(3, 9):
        told = client.call("POST", APPROVALS, question(number))
        assert (told.status, told.why) == (
            503,
            "The disk of the control database is full; nothing was changed.",
        )
    edited = f'"{"y" * 20_000}"'
    said = {"decision": "allow", "params_hash": kept[0]["params_hash"], "params": edited}
    path = f"{APPROVALS}/{kept[0]['id']}/decision"
    assert client.call("POST", path, said | {"approver": "maria"}).status == 503
    # Looking needs no room.
    assert client.call("GET", APPROVALS).data["total"] == 3

    filler.unlink()
    assert client.call("POST", path, said | {"approver": "maria"}).data["status"] == "approved"
    # Sent again, as whoever was told no does.
    asked = [client.call("POST", APPROVALS, question(number)).data for number in range(9)]
    assert len({each["id"] for each in asked}) == 9
    assert [each["id"] for each in asked[:3]] == [each["id"] for each in kept]
    again = client.call("POST", LEASES, {"leases": [lease | {"used": 1.0}]}).data["leases"][0]
    assert (again["granted"], again["used"]) == (2, 1)
    entries = client.call("GET", AUDIT).data["entries"]
    assert sum(entry["action"] == "approval.ask" for entry in entries) == 9
    assert sum(entry["action"] == "approval.allow" for entry in entries) == 1
    checked = client.call("GET", f"{AUDIT}/verify")
    assert checked.data["sound"], checked.data
