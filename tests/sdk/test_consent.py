"""Tools that need approval: asked before they run, with the arguments a person leaves them, or not run at all."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from fractions import Fraction
from typing import Any, Literal

import pytest

import tachograph as tacho
from tachograph import _asking, _consent, _control
from tachograph._binding import Binder
from tachograph._edits import MisfitError, fitted, merged
from tachograph._redact import Redactor
from tachograph_schemas import names
from tachograph_schemas.control_client import ControlClient


@pytest.fixture(autouse=True)
def _no_policies():
    _consent.use(())
    yield
    _consent.use(())


def yes(_request: str, _params: Any) -> bool:
    return True


def no(_request: str, _params: Any) -> tacho.Decision:
    return tacho.Decision(approved=False, approver="maria", reason="too much")


def with_params(**changes: Any):
    def approver(_request: str, params: Any) -> tacho.Decision:
        return tacho.Decision(True, "maria", params={**params, **changes}, edited=True)

    return approver


def by(approver: Any, **more: Any) -> tacho.ApprovalPolicy:
    return tacho.ApprovalPolicy(approver=approver, **more)


def decisions(spans) -> list[str]:
    return [span.attributes[names.APPROVAL_DECISION] for span in spans if span.layer == "approval"]


def test_the_five_kinds_of_tool_run_when_allowed_and_not_when_refused(spans):
    ran: list[str] = []
    for allowed, approver in ((True, yes), (False, no)):

        @tacho.tool(risk="critical", approval=by(approver))
        def plain(usd: float) -> float:
            ran.append("plain")
            return usd

        @tacho.tool(approval=by(approver))
        async def coroutine(usd: float) -> float:
            ran.append("coroutine")
            return usd

        @tacho.tool(approval=by(approver))
        def generator(usd: float):
            ran.append("generator")
            yield usd

        @tacho.tool(approval=by(approver))
        async def async_generator(usd: float):
            ran.append("async generator")
            yield usd

        @tacho.effect(approval=by(approver))
        def effect(usd: float) -> float:
            ran.append("effect")
            return usd

        async def collect(source=async_generator) -> list[float]:
            return [each async for each in source(1.0)]

        calls = (
            lambda plain=plain: plain(1.0),
            lambda coroutine=coroutine: asyncio.run(coroutine(1.0)),
            lambda generator=generator: list(generator(1.0)),
            lambda collect=collect: asyncio.run(collect()),
            lambda effect=effect: effect(1.0),
        )
        for call in calls:
            if allowed:
                assert call() in (1.0, [1.0])
            else:
                with pytest.raises(tacho.Refused, match="too much") as refused:
                    call()
                assert refused.value.rule == "approval"
        assert len(ran) == 5, "a refused tool does not run"
    assert decisions(spans) == ["approved"] * 5 + ["refused"] * 5
    tools = [span for span in spans if span.layer == "tool"]
    assert len(tools) == 5


def test_the_tool_runs_with_what_the_approver_made_of_the_arguments(spans):
    class Desk:
        @tacho.tool(approval=by(with_params(usd=50, tags=["a", "b"])))
        def refund(
            self,
            order_id: str,
            usd: float,
            *rest: int,
            tags: tuple[str, ...] = (),
            client: Any = None,
        ) -> tuple[Any, ...]:
            return order_id, usd, tags, client, rest

    client = object()
    assert Desk().refund("A-1", 900.0, client=client) == ("A-1", 50.0, ("a", "b"), client, ())
    asked = spans.one(layer="approval")
    made = spans.one(layer="tool")
    assert json.loads(asked.attributes[names.input_name("approval")])["usd"] == 900.0
    assert json.loads(made.attributes[names.input_name("tool")])["usd"] == 50.0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"usd": "50"}, "usd should be a number"),
        ({"usd": True}, "usd should be a number"),
        ({"currency": "XXX"}, "currency should be one of 'EUR', 'USD'"),
        ({"lines": [1, "2"]}, "lines should be a whole number"),
        ({"free": {"a": 1}}, "free should be a list, as it was"),
        ({"to": "x"}, "to should be left alone"),
        ({"at": "noon"}, "at should be left alone"),
        ({"surprise": 1}, "not added or left out: surprise"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_and_recorded(spans, changes, problem):
    class Account: ...

    ran = []

    @tacho.tool(approval=by(with_params(**changes)))
    def pay(
        usd: float,
        currency: Literal["EUR", "USD"],
        lines: list[int],
        to: Account,
        at: Fraction,
        free=(),
    ) -> None:
        ran.append(usd)

    with pytest.raises(tacho.Refused) as refused:
        pay(1.0, "EUR", [1], Account(), Fraction(1))
    assert problem in refused.value.reason
    assert not ran
    failed = spans.one(layer="validation")
    assert failed.attributes[names.VALIDATION_VERDICT] == "fail"
    assert failed.attributes[names.VALIDATION_BY] == "maria"


def test_what_a_person_left_alone_stays_the_agent_s_own():
    secret = {"user": "jo", "password": "hunter2", "rows": [1, 2]}
    shown = {"user": "jo", "password": "[redacted]", "rows": [1, 2]}
    assert merged(secret, shown, shown) is secret
    assert merged(secret, shown, shown | {"user": "kim"}) == secret | {"user": "kim"}
    assert merged(secret, shown, shown | {"rows": [1, 3]})["rows"] == [1, 3]
    assert merged([True], [True], [1]) == [1], "1 is not true"
    assert merged(secret, shown, {"user": "jo"}) == {"user": "jo"}


def test_a_function_without_hints_keeps_the_kinds_of_its_arguments():
    def free(a, b, c): ...

    given = {"a": 1, "b": (1, 2), "c": None}
    assert fitted(free, given, given | {"a": 2.5, "b": [3]}) == {"a": (1, 2.5), "b": ((1, 2), (3,))}
    assert fitted(free, given, given | {"c": "x"}) == {"c": (None, "x")}
    with pytest.raises(MisfitError, match="no JSON object of arguments"):
        fitted(free, given, [1])


def test_policies_name_tools_and_risks_and_the_stricter_holds(spans):
    asked: list[str] = []

    def note(request: str, _params: Any) -> bool:
        asked.append(request)
        return True

    _consent.use((by(note, tools=["pay_*", "refund"]), by(note, tools="*", risk="critical")))

    @tacho.tool(risk="low")
    def pay_rent() -> int:
        return 1

    @tacho.tool(risk="high")
    def look_up() -> int:
        return 2

    @tacho.tool(risk="critical")
    def wipe() -> int:
        return 3

    @tacho.tool
    def undeclared() -> int:
        return 4

    assert [pay_rent(), look_up(), wipe(), undeclared()] == [1, 2, 3, 4]
    assert asked == ["call pay_rent", "call wipe"]
    terms = [
        tacho.ApprovalPolicy(approvers_needed=2, timeout_s=60, requester_may_approve=True),
        tacho.ApprovalPolicy(timeout_s=30),
    ]
    consent = _consent.Consent(pay_rent, Binder(pay_rent), "pay_rent", None, None, "full")
    question = consent._question(terms, {})
    assert (question.approvers_needed, question.timeout_s, question.requester_may_approve) == (
        2,
        30,
        False,
    )


@pytest.mark.parametrize(
    "options",
    [
        {"tools": []},
        {"tools": 5},
        {"risk": "enormous"},
        {"approvers_needed": 0},
        {"approvers_needed": True},
        {"requester_may_approve": "no"},
        {"timeout_s": -1},
        {"timeout_s": float("nan")},
        {"approver": "somebody"},
        {"approver": yes, "approvers_needed": 2},
    ],
)
def test_a_policy_that_makes_no_sense_is_none(options):
    with pytest.raises(ValueError):
        tacho.ApprovalPolicy(**options)


@pytest.mark.parametrize(
    "given",
    [
        "not JSON",
        '{"tools": "x"}',
        '[{"tols": "x"}]',
        '[{"approver": "inbox"}]',
        '[{"risk": "enormous"}]',
        [5],
        5,
    ],
)
def test_policies_that_cannot_be_read_ask_about_every_tool(given, caplog):
    with caplog.at_level(logging.ERROR, logger="tachograph"):
        assert _consent.read(given) == _consent.EVERY_TOOL
    assert "every tool call needs approval" in caplog.text


def test_without_the_recorder_a_tool_that_needs_approval_does_not_run(run_script):
    source = """
import tachograph as tacho

@tacho.tool(approval=True)
def wipe(): print("wiped")

@tacho.tool
def listed(): print("listed")

tacho.init(disabled=True)
for tool in (wipe, listed):
    try: tool()
    except tacho.Refused as refused: print(refused)
"""
    assert run_script(source).stdout.splitlines() == [
        "refused by approval: there is no collector: call tacho.init()",
        "listed",
    ]
    file = '[[approvals]]\ntools = "list*"\nrisk = "low"\n'
    with_file = source.replace(
        "import tachograph", f"open('tacho.toml','w').write({file!r})\nimport tachograph", 1
    )
    assert (
        run_script(with_file.replace("@tacho.tool\n", '@tacho.tool(risk="low")\n')).stdout.count(
            "refused by approval"
        )
        == 2
    )
    broken = source.replace(
        "import tachograph", "open('tacho.toml','w').write('[[approvals]\\n')\nimport tachograph", 1
    )
    assert run_script(broken).stdout.count("refused by approval") == 2, "in doubt, no"


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_what_changes_while_somebody_decides_is_not_approved(spans, kind):
    """The list that the tool was called with is somebody else's too."""
    accounts = ["A-1"]
    ran: list[list[str]] = []

    def slow(_request: str, _params: Any) -> bool:
        accounts.append("B-2")
        return True

    @tacho.tool(approval=by(slow))
    def close(names: list[str]) -> None:
        ran.append(names)

    @tacho.tool(approval=by(slow))
    async def close_async(names: list[str]) -> None:
        ran.append(names)

    with pytest.raises(tacho.Refused, match="changed while somebody decided"):
        close(accounts) if kind == "sync" else asyncio.run(close_async(accounts))
    assert not ran


def test_an_async_approver_of_a_sync_tool_is_no_yes(spans):
    async def later(_request: str, _params: Any) -> bool:
        return True

    @tacho.tool(approval=by(later))
    def wipe() -> None: ...

    with pytest.warns(RuntimeWarning, match="never awaited"), pytest.raises(tacho.Refused):
        wipe()


def test_a_tool_that_hides_its_arguments_hides_them_from_the_record_too(spans):
    @tacho.tool(approval=by(yes), capture_input=False)
    def login(password: str) -> int:
        return len(password)

    assert login("hunter2") == 7
    assert names.input_name("approval") not in spans.one(layer="approval").attributes


def test_the_wait_of_a_run_is_limited(spans, monkeypatch):
    line = _control.Line(
        ControlClient("http://127.0.0.1:9", ""), Redactor(()), "inbox", 60.0, 0.2, "full"
    )
    monkeypatch.setattr(_control, "_line", line)
    never = threading.Event()

    @tacho.tool(approval=by(lambda *_: never.wait(30)))
    def slow() -> None: ...

    @tacho.run
    def handle() -> list[str]:
        said = []
        for _ in range(2):
            with pytest.raises(tacho.Refused) as refused:
                slow()
            said.append(refused.value.reason)
        return said

    assert handle() == [_asking._NO_LONGER] * 2
    never.set()
    waits = [span.attributes[names.WAITING_NS] for span in spans if span.layer == "approval"]
    assert waits[0] >= 0.2e9
    assert waits[1] < waits[0], "nothing is left to wait"
    assert decisions(spans) == ["timeout", "timeout"]


def test_methods_of_every_kind_ask_and_hide_who_they_belong_to(spans):
    asked: list[Any] = []

    def approver(request: str, params: Any) -> tacho.Decision:
        asked.append((request.rpartition(".")[2], params))
        return tacho.Decision(True, "maria", params={"usd": 2.0}, edited=True)

    consent = by(approver)

    class Till:
        @tacho.tool(approval=consent)
        def pay(self, usd: float) -> tuple[str, float]:
            return type(self).__name__, usd

        @tacho.tool(approval=consent)
        async def pay_later(self, usd: float) -> tuple[str, float]:
            return type(self).__name__, usd

        @classmethod
        @tacho.tool(approval=consent)
        def pay_all(cls, usd: float) -> tuple[str, float]:
            return cls.__name__, usd

        @tacho.tool(approval=consent)
        @staticmethod
        def pay_none(usd: float) -> tuple[str, float]:
            return "", usd

    class Drawer(Till):
        pass

    drawer = Drawer()
    assert drawer.pay(1.0) == ("Drawer", 2.0)
    assert asyncio.run(drawer.pay_later(1.0)) == ("Drawer", 2.0)
    assert Drawer.pay_all(1.0) == ("Drawer", 2.0)
    assert Drawer.pay_none(usd=1.0) == ("", 2.0)
    assert [params for _, params in asked] == [{"usd": 1.0}] * 4


@pytest.mark.parametrize("kind", ["coroutine", "async generator"])
def test_who_is_cancelled_while_somebody_decides_does_not_run(spans, kind):
    ran: list[str] = []
    asked = asyncio.Event()

    async def never(_request: str, _params: Any) -> bool:
        asked.set()
        await asyncio.Event().wait()
        return True

    @tacho.tool(approval=by(never))
    async def coroutine() -> None:
        ran.append("coroutine")

    @tacho.tool(approval=by(never))
    async def async_generator():
        ran.append("async generator")
        yield 1

    async def consume() -> None:
        async for _ in async_generator():
            pass

    async def main() -> None:
        task = asyncio.create_task(coroutine() if kind == "coroutine" else consume())
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ran == []
    (approval,) = [span for span in spans if span.layer == "approval"]
    assert approval.attributes.get(names.APPROVAL_DECISION) != "approved"
    assert not [span for span in spans if span.layer == "tool"]


@pytest.mark.parametrize(
    "name",
    [
        "delete_all",
        "Delete_All",
        "d\u0435lete_all",  # a Cyrillic letter
        "delete\u200b_all",  # one that is not seen
        "\u202edelete_all",
        "\uff44\uff45lete_all",  # as wide as a Chinese one
        "\U0001d41d\U0001d41e\U0001d425\U0001d41e\U0001d42d\U0001d41e_all",  # mathematical
        "de\u0301lete_all",
        "dele\u3164te_all",
        "delete\ufe0f_all",  # a selector of variants is drawn as nothing
        "dele\u034fte_all",
        "delete\u203fall",
        "\u1d05\u1d07\u029f\u1d07\u1d1b\u1d07_all",  # small capitals
        "dele\u200dte_all",
        "d\u0531lete_all",  # of an alphabet that is not in our table: no policy trusts it
    ],
)
def test_a_policy_holds_for_names_that_look_like_the_one_it_says(name):
    assert tacho.ApprovalPolicy(tools="delete_*").covers(name, None)
    assert tacho.ApprovalPolicy(tools=("export", "DELETE_*")).covers(name, None)


@pytest.mark.parametrize(
    "name",
    [
        "read_all",
        "\u0443\u0434\u0430\u043b\u0438\u0442\u044c_api",
        "\u691c\u7d22tool",
        "\u30c7\u30fc\u30bflist",
        "\u4eba\u3005list",
        "\u0628\u062d\u062b_web",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\u0915\u094d\u200d\u0937",
        "\U0001f469\u200d\U0001f4bb_tool",
        "\u2699\ufe0f_run",
        "delay_10\u00b5s",
        "pr\u00fcfe",
    ],
)
def test_a_policy_leaves_names_of_other_languages_alone(name):
    policy = tacho.ApprovalPolicy(tools="delete_*")
    assert not policy.covers(name, None)
    assert tacho.ApprovalPolicy(tools=name).covers(name, None)


def test_names_that_differ_in_a_vowel_sign_are_two():
    policy = tacho.ApprovalPolicy(tools="\u0915\u0941\u0932")
    assert not policy.covers("\u0915\u0947\u0932", None)
