"""The examples of docs/approvals.md and docs/keys.md do what the pages say."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from collector_process import Collector

from pipeline import until
from tachograph_schemas.control import APPROVALS
from tachograph_schemas.control_client import ControlClient

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(block: str) -> list[list[str]]:
    """The words behind ``tacho`` on each line."""
    return [shlex.split(line, comments=True)[1:] for line in block.splitlines()]


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    running = Collector(tmp_path_factory.mktemp("docs") / "home").start()
    yield running
    running.stop()


def tacho(collector: Collector, words: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tachograph.cli", *words],
        env=collector.environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def test_the_agent_and_the_commands_that_decide(collector, tmp_path):
    program = tmp_path / "agent.py"
    program.write_text(blocks("approvals.md", "python")[0])
    client = ControlClient(collector.url)
    listing, *deciding = commands(blocks("approvals.md", "bash")[0])
    outcomes = (
        "refunded 900.0 for A-1007",
        "refunded 500.0 for A-1007",
        "refused: send a new one instead",
    )
    for words, outcome in zip(deciding, outcomes, strict=True):
        with subprocess.Popen(
            [sys.executable, str(program)],
            env=collector.environment | {"TACHO_ENDPOINT": collector.url},
            stdout=subprocess.PIPE,
            text=True,
        ) as agent:
            until(lambda: client.call("GET", APPROVALS).data["total"] == 1)
            request = client.call("GET", APPROVALS).data["approvals"][0]
            assert request["id"] in tacho(collector, listing)
            tacho(collector, [request["id"][:6] if word == "3f2a" else word for word in words])
            assert agent.communicate(timeout=180)[0].strip() == outcome


def test_the_tools_that_are_asked_about_and_the_link(collector, tmp_path):
    """The page's second program, under the policies of its file: two people for the refund, the second by link."""
    program = tmp_path / "agent.py"
    program.write_text(blocks("approvals.md", "python")[1])
    (tmp_path / "tacho.toml").write_text(blocks("approvals.md", "toml")[0])
    client = ControlClient(collector.url)
    with subprocess.Popen(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env=collector.environment | {"TACHO_ENDPOINT": collector.url},
        stdout=subprocess.PIPE,
        text=True,
    ) as agent:
        request = _next(client, "call refund")
        assert (request["approvers_needed"], request["risk"]) == (2, "critical")
        tacho(collector, ["approve", request["id"], "--as", "jo"])
        words = commands(blocks("approvals.md", "bash")[1])[0]
        said = tacho(collector, [request["id"][:6] if word == "3f2a" else word for word in words])
        assert said.startswith("For maria, until ")
        token = re.search(r"Approve +\S+/decide#(\S+)", said)[1]
        body = {"token": token, "params_hash": request["params_hash"]}
        assert client.call("POST", "/decide", body).data == {"status": "approved"}
        request = _next(client, "call send_mail")
        assert "send_* of risk high or more" in request["reason"]
        tacho(collector, ["refuse", request["id"], "--reason", "not today"])
        said = agent.communicate(timeout=180)[0].strip()
        assert said == "refunded 900.0 for A-1007, no mail: not today"


def test_the_demo_is_paused_and_its_payment_waits_in_the_inbox_for_somebody(collector):
    (recorded,) = json.loads(tacho(collector, ["demo", "payout", "--json"]))
    assert recorded["outcome"] == "stopped"
    client = ControlClient(collector.url)
    request = _next(client, "call pay")
    collector.until_ended(recorded["run_id"])
    story = tacho(collector, ["show", recorded["run_id"]])
    assert "Paused by Mara Lindqvist (scripted)" in story
    assert f"a decision on request {request['id']}" in story
    tacho(collector, ["approve", request["id"], "--params", '{"to": "suppliers", "usd": 100.0}'])
    taken_up = subprocess.run(
        [sys.executable, "-m", "tachograph.demo.payout", recorded["run_id"]],
        env=collector.environment | {"TACHO_ENDPOINT": collector.url},
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    assert taken_up.stdout.strip() == "Paid 100.00 USD to suppliers."


def _next(client: ControlClient, action: str) -> dict:
    """The request that waits, whole."""

    def waiting() -> list[dict]:
        listed = client.call("GET", APPROVALS).data["approvals"]
        return [each for each in listed if each["action"] == action]

    until(waiting)
    return client.call("GET", f"{APPROVALS}/{waiting()[0]['id']}").data


def test_the_commands_that_pause_and_stop(collector):
    for words in commands(blocks("approvals.md", "bash")[2]):
        assert tacho(collector, words)


def test_the_commands_on_keys_and_on_the_audit_log(collector):
    key_id = ""
    for block in blocks("keys.md", "bash"):
        for words in commands(block):
            said = tacho(collector, [key_id if word == "9f86d081884c" else word for word in words])
            if words[:2] == ["key", "create"]:
                key_id = said.split("_")[1]
    assert said.startswith("Sound: ")
