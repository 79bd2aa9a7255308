"""Alerts in a real collector: spans in, notifications out, over real HTTP and SMTP."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from collector_process import Collector

from otlp import Trace
from pipeline import until
from receivers import is_signed, mailbox, webhook
from tachograph.cli import main
from tachograph_schemas.control import ALERTS, AUDIT, KEYS
from tachograph_schemas.control_client import ControlClient

OWNER = "owner-of-this-collector"
NEAR = {"TACHO_ALERT_INTERVAL_S": "0.2", "TACHO_ALERT_NETWORKS": "127.0.0.0/8"}
DONE_S = 120.0


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    home = tmp_path_factory.mktemp("alerts") / "home"
    running = Collector(home, TACHO_API_KEY=OWNER, **NEAR).start()
    yield running
    running.stop()


@pytest.fixture
def owner(collector):
    return ControlClient(collector.url, OWNER)


@pytest.fixture
def hook(owner):
    """A webhook that is a target named ``hook``, and its secret."""
    with webhook() as received:
        made = owner.call("POST", f"{ALERTS}/targets", {"name": "hook", "url": received.url})
        assert made, made.why
        received.secret = made.data["secret"]
        yield received
        owner.call("DELETE", f"{ALERTS}/targets", query={"name": "hook"})


def send(collector: Collector, agent: str, number: int, *, outcome: str = "failure") -> None:
    trace = Trace(number)
    trace.start_ns = time.time_ns() - 10**9
    trace.span(
        1, "handle", tacho__layer="run", tacho__run__outcome=outcome, gen_ai__agent__name=agent, ms=100
    )  # fmt: skip
    request = urllib.request.Request(
        f"{collector.url}/v1/traces",
        trace.body(),
        {"Content-Type": "application/x-protobuf", "Authorization": f"Bearer {OWNER}"},
    )
    assert urllib.request.urlopen(request, timeout=30).status == 200


def put(client: ControlClient, **rule) -> dict:
    answer = client.call("POST", f"{ALERTS}/rules", {"rule": rule, "actor": "maria"})
    assert answer, answer.why
    return dict(answer.data)


def deliveries(client: ControlClient) -> list[dict]:
    return client.call("GET", f"{ALERTS}/deliveries").data["deliveries"]


def tried(client: ControlClient, name: str) -> dict:
    """What became of a test, however long that took."""
    body = {"name": name, "actor": "jo"}
    made = client.call("POST", f"{ALERTS}/test", body, query={"wait_s": 9}).data

    def found() -> dict:
        return next(row for row in deliveries(client) if row["id"] == made["id"])

    until(lambda: found()["finished_ns"], DONE_S)
    return found()


def test_a_failure_is_told_once_and_so_is_its_end_however_often_it_is_refused(
    collector, owner, hook
):
    # Long enough that a busy machine finds the failure before it is over.
    rule = put(
        owner, name="failed runs", metric="failed_runs", group_by="agent", critical=1, window_s=30,
        only={"agent": ["billing"]}, targets=["hook"], note="Look at the runs page.",
    )  # fmt: skip
    send(collector, "billing", 1)
    until(lambda: len(hook.taken) == 1, DONE_S)
    (firing,) = owner.call("GET", f"{ALERTS}/firing").data["firing"]
    assert (firing["rule_name"], firing["group"], firing["level"]) == (
        "failed runs",
        "billing",
        "critical",
    )
    acked = owner.call("POST", f"{ALERTS}/events/{firing['event_id']}/ack", {"actor": "jo"})
    assert acked.data["acked_by"] == "jo"
    # The window passes, nothing else fails; the receiver has its own troubles meanwhile.
    hook.answers[:] = [503, 302, 500]
    until(lambda: len(hook.taken) == 2, DONE_S)
    assert len(hook.bodies) == 5
    fired, over = hook.taken
    assert (fired["kind"], fired["level"], fired["group"], fired["value"]) == (
        "fires",
        "critical",
        "billing",
        1,
    )
    assert "Look at the runs page." in fired["text"]
    assert (over["kind"], over["level"]) == ("recovers", "ok")
    assert all(
        map(lambda headers, body: is_signed(hook.secret, headers, body), hook.headers, hook.bodies)
    )
    assert list(dict.fromkeys(headers["idempotency-key"] for headers in hook.headers)) == hook.ids()
    events = owner.call("GET", f"{ALERTS}/history", query={"rule_id": rule["id"]}).data["events"]
    assert [event["kind"] for event in events] == ["recovers", "fires"]
    # The receiver has it before the collector has heard so.
    until(lambda: all(row["finished_ns"] for row in deliveries(owner)), DONE_S)
    sent = [(row["status"], row["said"], row["attempts"]) for row in deliveries(owner)]
    assert sent == [("sent", "HTTP 200", 4), ("sent", "HTTP 200", 1)]
    assert owner.call("DELETE", f"{ALERTS}/rules/{rule['id']}")


def test_mail_goes_through_apprise_and_its_password_is_told_nowhere(collector, owner):
    with mailbox() as (address, mails):
        url = (
            f"mailto://me:pa55w0rd@{address}?from=tacho@example.com&to=jo@example.com&mode=insecure"
        )
        assert owner.call("POST", f"{ALERTS}/targets", {"name": "mail", "url": url})
        refused = tried(owner, "mail")
        assert refused["status"] == "failed", refused  # this server knows no logins
        plain = url.replace("me:pa55w0rd@", "")
        assert owner.call("POST", f"{ALERTS}/targets", {"name": "mail", "url": plain})
        taken = tried(owner, "mail")
        assert taken["status"] == "sent", taken
        assert "a test" in str(mails[-1]["subject"])
    said = [
        owner.call("GET", path).data
        for path in (f"{ALERTS}/targets", f"{ALERTS}/deliveries", AUDIT)
    ]
    assert "pa55w0rd" not in f"{said} {(collector.home / 'up.err').read_text()}"
    assert owner.call("DELETE", f"{ALERTS}/targets", query={"name": "mail"})


def test_roles_and_projects(collector, owner):
    def client_of(role: str, project: str) -> ControlClient:
        made = owner.call("POST", KEYS, {"name": role, "role": role, "project": project})
        return ControlClient(collector.url, made.data["key"])

    rule = {"rule": {"name": "r", "metric": "runs", "critical": 1_000}}
    target = {"name": "t", "url": "https://example.com/x"}
    window = {"name": "w", "starts_ns": 1, "ends_ns": 2}
    expected = {
        "ingest": (403,) * 4,
        "read": (200, 403, 403, 403),
        "operate": (200, 200, 200, 403),
        "admin": (200,) * 4,
    }
    for role, statuses in expected.items():
        client = client_of(role, "ours")
        said = (
            client.call("GET", f"{ALERTS}/rules"),
            client.call("POST", f"{ALERTS}/rules", rule),
            client.call("POST", f"{ALERTS}/windows", window),
            client.call("POST", f"{ALERTS}/targets", target),
        )
        assert tuple(answer.status for answer in said) == statuses, role
    ours, theirs = client_of("admin", "ours"), client_of("admin", "theirs")
    made = ours.call("GET", f"{ALERTS}/rules").data["rules"][0]
    for path in ("rules", "windows", "targets", "history", "firing", "deliveries"):
        (rows,) = theirs.call("GET", f"{ALERTS}/{path}").data.values()
        assert rows == []
    assert theirs.call("GET", f"{ALERTS}/rules/{made['id']}").status == 404
    assert theirs.call("DELETE", f"{ALERTS}/rules/{made['id']}").status == 404
    assert theirs.call("POST", f"{ALERTS}/rules/{made['id']}/snooze", {"for_s": 9}).status == 404
    assert theirs.call("POST", f"{ALERTS}/test", {"name": "t"}).status == 404
    stolen = {"rule": rule["rule"] | {"targets": ["t"]}}
    assert theirs.call("POST", f"{ALERTS}/rules", stolen).status == 422
    actions = {entry["action"] for entry in ours.call("GET", AUDIT).data["entries"]}
    assert {"alert.rule", "alert.window", "alert.target"} <= actions


def test_the_page_of_the_documentation_is_true(
    collector, owner, hook, tmp_path, monkeypatch, capsys
):
    """Its commands work in their order; its Python checks a signature; its file can be applied."""
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")
    # The quiet time in it comes back each week: not now.
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT")
    (file,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    file = re.sub(r"\b20\d\d-\d\d-\d\dT", tomorrow, file)
    (tmp_path / "alerts.yaml").write_text(file)
    for name in ("TACHO_HOME", "TACHO_API_KEY"):
        monkeypatch.setenv(name, collector.environment[name])
    monkeypatch.setenv("TACHO_ENDPOINT", collector.url)
    monkeypatch.setenv("ONCALL_URL", hook.url)
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line.partition("||")[0], comments=True)[1:]
            words = [hook.url if "hooks.example.com" in word else word for word in words]
            code = main(words)
            said = capsys.readouterr()
            assert code == 0 or "||" in line, (line, said.err)
            assert hook.url not in said.out
            for secret in re.findall(r"whsec_\S+", said.out):
                hook.secret = secret
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    program = tmp_path / "receiver.py"
    program.write_text(code)
    spec = importlib.util.spec_from_file_location("receiver", program)
    receiver = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(receiver)
    names = {each["name"] for each in owner.call("GET", f"{ALERTS}/rules").data["rules"]}
    assert {"agent is expensive", "inbox waits", "agent is silent", "runs are stuck"} <= names
    assert "runs fail" not in names
    assert owner.call("GET", f"{ALERTS}/digests").data["digests"] == []
    assert [each["name"] for each in owner.call("GET", f"{ALERTS}/windows").data["windows"]] == [
        "sunday"
    ]

    def genuine_alerts(end: bytes = b""):
        pairs = zip(hook.headers, hook.bodies, strict=False)
        alerts = [pair for pair in pairs if json.loads(pair[1])["type"] == "alert"]
        return [
            body
            for headers, body in alerts
            if receiver.is_genuine(hook.secret, headers, body + end)
        ]

    # The file's agent has never been heard of, so that is told, to other targets as well; the secret of one was shown last.
    until(genuine_alerts, DONE_S)
    assert not genuine_alerts(b" ")


def test_a_file_with_a_mistake_says_which_item_it_is(
    collector, owner, tmp_path, monkeypatch, capsys
):
    """What stands before it is kept, and that is said too."""
    for name in ("TACHO_HOME", "TACHO_API_KEY"):
        monkeypatch.setenv(name, collector.environment[name])
    monkeypatch.setenv("TACHO_ENDPOINT", collector.url)
    monkeypatch.chdir(tmp_path)
    good = "  - {name: first, metric: runs, critical: 1}\n"

    def said(text: str) -> str:
        (tmp_path / "rules.yaml").write_text(text)
        assert main(["alert", "apply", "-f", "rules.yaml"]) != 0
        return capsys.readouterr().err

    wrong = said(f"rules:\n{good}  - {{name: second, metric: happiness, critical: 1}}\n")
    assert "rule second: " in wrong
    assert "the 1 item before it" in wrong
    assert "rule number 1: " in said("rules:\n  - {metric: runs, critical: 1}\n")
    assert "window night: " in said("windows:\n  - {name: night, starts: soon, ends: later}\n")
    owner.call("DELETE", f"{ALERTS}/rules/first")
