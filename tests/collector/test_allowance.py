"""What a project may add to what is kept for good."""

from __future__ import annotations

import asyncio
import contextlib

from fastapi import FastAPI
from fastapi.testclient import TestClient

from tachograph_collector.control.access import Access
from tachograph_collector.control.allowance import Allowance
from tachograph_collector.control.api_approvals import add_approvals
from tachograph_collector.control.approvals import Approvals
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database
from tachograph_collector.control.news import News
from tachograph_collector.keys import Keys
from tachograph_schemas.control import APPROVALS


def test_a_project_that_adds_too_much_waits_and_others_do_not():
    clock = [0.0]
    allowance = Allowance(1_000, 10, lambda: clock[0])
    assert allowance.take("greedy", 900) == 0
    assert allowance.take("greedy", 300) == 20
    assert allowance.take("other", 1_000) == 0
    # What was refused costs nothing, and after the time that was said it is granted.
    assert allowance.take("greedy", 100) == 0
    clock[0] = 30.0
    assert allowance.take("greedy", 300) == 0
    # Who rests saves up no more than the first time.
    clock[0] = 1e9
    assert allowance.take("greedy", 1_001) == 0.1


def test_an_agent_s_key_cannot_fill_the_disk_with_requests(tmp_path):
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        database = Database(f"sqlite:///{tmp_path / 'control.db'}")
        approvals = Approvals(database, Audit(database, tmp_path / "audit.head"), str)
        api = FastAPI()
        access = Access(Keys("", required=False))
        add_approvals(api, approvals, News(loop), access, Allowance(200_000, 1_000))
        client = TestClient(api, base_url="http://127.0.0.1")
        said = []
        for number in range(4):
            body = {
                "idempotency_key": f"{number:064}",
                "action": "x",
                "params": f'"{"a" * 80_000}"',
            }
            said.append(client.post(APPROVALS, json=body))
        assert [answer.status_code for answer in said] == [200, 200, 429, 429]
        assert 1 <= int(said[2].headers["retry-after"]) <= 60
        assert "asked for too much" in said[2].json()["detail"]
        assert approvals.listed("default", ["pending"], 10)[1] == 2
        database.close()
