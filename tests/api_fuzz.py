"""The control API under requests made from its own description: no 5xx, and nothing of another project.

The short form is a test, the long one ``python -m tests.benchmarks fuzz_api``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from collector_process import Collector
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from tachograph_collector.control.database import Database
from tachograph_collector.control.tables import DRIFT_ALARMS
from tachograph_collector.control.tables_alerts import EVENTS
from tachograph_schemas.control import ALERTS, APPROVALS, BUDGETS, DRIFT, KEYS, ORDERS, REPLAYS
from tachograph_schemas.control_client import ControlClient

OWNER = "owner-of-this-collector"
MARK = "only-ours-7f3a"
"""In everything that the first project says; the second must never read it."""
_DESCRIPTION = "/api/v1/openapi.json"
_PLACE = re.compile(r"\{(\w+)\}")
_UNKNOWN = {16: "0" * 16, 12: "0" * 12}


@dataclass(frozen=True)
class Projects:
    """A collector with two projects: one that has everything, and one that must not learn of it."""

    url: str
    ours: str
    theirs: str
    """Keys of role admin."""
    ids: dict[str, str]
    """Of what the first project has, by the name of the path's parameter."""


def two_projects(collector: Collector) -> Projects:
    """Make both, and fill the first."""
    owner = ControlClient(collector.url, OWNER)
    keys = {}
    for project in ("ours", "theirs"):
        name = MARK if project == "ours" else project
        keys[project] = owner.call(
            "POST", KEYS, {"name": name, "role": "admin", "project": project}
        )
    ours = keys["ours"].data["key"]
    return Projects(
        collector.url,
        ours,
        keys["theirs"].data["key"],
        fill(collector.url, ours)
        | raise_alarms(collector.home)
        | {"key_id": keys["ours"].data["id"]},
    )


def fill(url: str, key: str) -> dict[str, str]:
    """Everything the first project, whose key this is, can have, marked; the ids of it."""
    ours = ControlClient(url, key)
    request = ours.call(
        "POST",
        APPROVALS,
        {
            "idempotency_key": hashlib.sha256(os.urandom(8)).hexdigest(),
            "action": MARK,
            "params": f'{{"note": "{MARK}"}}',
            "reason": MARK,
            "agent": MARK,
            "run_id": MARK,
        },
    )
    assert request, request.why
    order = {"action": "pause", "scope": "agent", "target": MARK, "reason": MARK}
    assert ours.call("POST", ORDERS, order)
    # The key that asked may not make links.
    made = ours.call("POST", KEYS, {"name": MARK, "role": "operate"})
    operator = ControlClient(url, made.data["key"])
    links = f"{APPROVALS}/{request.data['id']}/links"
    assert operator.call("POST", links, {"approver": MARK})
    rule = {"name": MARK, "metric": "runs", "critical": 1, "targets": [MARK], "note": MARK}
    window = {"name": MARK, "starts_ns": 1, "ends_ns": 2, "agents": [MARK]}
    for path, body in (
        (f"{ALERTS}/targets", {"name": MARK, "url": "https://example.com/x"}),
        (f"{ALERTS}/windows", window),
        (f"{ALERTS}/digests", {"name": MARK, "targets": [MARK]}),
        (BUDGETS, {"budgets": [{"name": MARK, "limit": 1}]}),
    ):
        said = ours.call("POST", path, body)
        assert said, said.why
    kept = ours.call("POST", f"{ALERTS}/rules", {"rule": rule})
    assert kept, kept.why
    replay = ours.call("POST", REPLAYS, {"run_id": MARK})
    assert replay, replay.why
    return {
        "approval_id": request.data["id"],
        "run_id": MARK,
        "rule_id": kept.data["id"],
        "replay_id": replay.data["id"],
        "name": MARK,
    }


def raise_alarms(home: Path) -> dict[str, str]:
    """Put an alarm of drift and a change of an alert into the first project, which take days to come by themselves."""
    alarm = {"agent": MARK, "metric": "cost_usd", "direction": "up", "state": "open", "data": "{}"}
    alarm |= {"baseline_version": 1, "raised_ns": 1, "last_ns": 1, "times": 1}
    event = {"rule_id": "0" * 15 + "1", "rule_name": MARK, "group_key": MARK, "seq": 1}
    event |= {"kind": "fires", "from_level": "ok", "to_level": "critical", "value": 1.0}
    event |= {"sentence": MARK, "muted": "", "at_ns": 1}
    ids = {"alarm_id": "a" * 16, "event_id": "e" * 16}
    database = Database(f"sqlite:///{home / 'control.db'}")
    with database.write() as connection:
        connection.execute(
            DRIFT_ALARMS.insert().values(id=ids["alarm_id"], project="ours", **alarm)
        )
        connection.execute(EVENTS.insert().values(id=ids["event_id"], project="ours", **event))
    database.close()
    return ids


def operations(url: str) -> Iterator[Any]:
    """Every operation of the description."""
    for found in schemathesis.openapi.from_url(url + _DESCRIPTION).get_all_operations():
        yield found.ok()


def fuzz(projects: Projects, key: str, *, examples: int, number: int) -> Counter[int]:
    """Send ``examples`` requests of both kinds, valid and not, to every operation; how often which status came.

    Raises:
        AssertionError: a 5xx, or something of the first project in an answer to the second.
    """
    seen: Counter[int] = Counter()
    for operation in operations(projects.url):
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            cases = operation.as_strategy(generation_mode=mode)
            # What takes nothing cannot be asked wrongly.
            with contextlib.suppress(Unsatisfiable):
                _fuzz_one(projects, key, cases, seen, examples, number)
    return seen


def _fuzz_one(
    projects: Projects,
    key: str,
    cases: Any,
    seen: Counter[int],
    examples: int,
    number: int,
) -> None:
    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def one(case: Any) -> None:
        if isinstance(case.query, dict) and "wait_s" in case.query:
            case.query["wait_s"] = 0  # nobody waits for news here
        answer = case.call(headers={"Authorization": f"Bearer {key}"}, timeout=180)
        seen[answer.status_code] += 1
        assert answer.status_code < 500, (case.as_curl_command(), answer.text[:500])
        if key == projects.theirs:
            assert MARK not in answer.text, case.as_curl_command()

    one()


def twins(projects: Projects) -> list[str]:
    """Ask as the second project for what the first has, and for what nobody has: what was told apart."""
    apart = []
    headers = {"Authorization": f"Bearer {projects.theirs}"}
    with httpx.Client(base_url=projects.url, headers=headers, timeout=180) as client:
        for operation in operations(projects.url):
            places = _PLACE.findall(operation.path)
            for body in _bodies(operation.path) if places else ():
                answers = []
                for known in (True, False):
                    path, words = operation.path, []
                    for place in places:
                        word = projects.ids[place] if known else _unknown(projects.ids[place])
                        path, words = path.replace(f"{{{place}}}", word), [*words, word]
                    answer = client.request(operation.method.upper(), path, json=body)
                    text = answer.text
                    for word in words:
                        text = text.replace(word, "ID")
                    answers.append((answer.status_code, text))
                if answers[0] != answers[1] or answers[0][0] < 400:
                    apart.append(f"{operation.method} {operation.path}: {answers}")
    return apart


def _unknown(known: str) -> str:
    """An id of the same shape that nobody has."""
    return _UNKNOWN.get(len(known), "nobody-has-this")


def _bodies(path: str) -> list[dict[str, Any] | None]:
    decision = {"decision": "allow", "params_hash": "0" * 64, "approver": "x"}
    if path.endswith("/decision"):
        return [decision, decision | {"decision": "escalate"}, {}]
    last = path.rpartition("/")[2]
    wanted = {
        "links": {"approver": "x"},
        "snooze": {"for_s": 60},
        "ack": {"learn": False} if path.startswith(DRIFT) else {},
        "result": {"worker": "x", "result": {}},
    }
    return [wanted.get(last)]


def sights(projects: Projects) -> dict[str, str]:
    """Everything that the second project can look at without naming anything."""
    headers = {"Authorization": f"Bearer {projects.theirs}"}
    paths = [
        f"{APPROVALS}?status=pending&status=approved&status=refused&status=expired",
        ORDERS,
        KEYS,
        BUDGETS,
        *(f"{ALERTS}/{kind}" for kind in ("rules", "targets", "windows", "digests")),
        *(f"{ALERTS}/{kind}" for kind in ("firing", "history", "deliveries")),
        f"{DRIFT}/alarms",
        f"{DRIFT}/agents",
        "/api/v1/audit",
        "/api/v1/audit/verify",
        "/api/v1/quarantine",
        _DESCRIPTION,
    ]
    with httpx.Client(base_url=projects.url, headers=headers, timeout=180) as client:
        return {path: client.get(path).text for path in paths}
