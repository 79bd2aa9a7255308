"""Every public call as strict users write it; checked by mypy in test_typing.py, never executed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, assert_type

from opentelemetry.sdk.trace.export import SpanExporter

import tachograph as tacho
from tachograph.testing import (
    FIRST_MOMENT_NS,
    STEP_NS,
    Event,
    SpanList,
    SpanRecord,
    captured_spans,
)

tacho.init(
    service="s",
    service_version="1",
    endpoint="http://x",
    api_key="k",
    redact=[r"\d+", lambda key, text: None],
    capture_limit_bytes=1_000,
    heartbeat_s=1.0,
    propagate_threads=False,
    approvals=[tacho.ApprovalPolicy(tools=["pay_*", "refund"], risk="high")],
    approval_budget_s=60,
    disabled=False,
)


@tacho.run
def bare(task: str, *, n: int = 1) -> list[str]:
    return [task] * n


@tacho.run(
    agent="a",
    goal=tacho.arg("task"),
    session=lambda given: given["task"],
    user="u",
    customer=None,
    tags=("x",),
    version="1",
    trigger="cron",
    resume=tacho.arg("run_id"),
    threads="exact",
)
async def with_options(task: str) -> int:
    return len(task)


@tacho.tool(risk="high", effect="write", scope="x:y", call_id=tacho.arg("call"))
def act(call: str) -> bytes:
    return call.encode()


@tacho.effect(risk="critical", approval=True, cost_usd=0.02)
def wipe(table: str) -> int:
    tacho.cost(usd=0.1, what="a search")
    tacho.cost(human_s=600, usd_per_hour=90.0)
    tacho.cache_hit(by="redis", input_tokens=1_000, output_tokens=10)
    return len(table)


@tacho.tool(approval=tacho.ApprovalPolicy(approvers_needed=2, timeout_s=60))
async def wipe_async(table: str) -> int:
    return len(table)


@tacho.effect
def charge(usd: float) -> None: ...


@tacho.effect(risk="critical")
async def charge_async(usd: float) -> None: ...


@tacho.step
def items(n: int) -> Iterator[int]:
    yield from range(n)


@tacho.agent(name="b", version="2")
async def items_async(n: int) -> AsyncIterator[int]:
    yield n


@tacho.model(provider="p", model="m")
def ask(prompt: str) -> Mapping[str, Any]:
    return {}


@tacho.retrieval(store="kb")
def find(query: str) -> list[str]:
    return []


@tacho.memory(operation="read", tier="long")
def recall(key: str) -> str | None:
    return None


@tacho.normalize
def clean(text: str) -> str:
    return text


@tacho.context(name="select", capture_input=False)
def select(texts: list[str]) -> list[str]:
    return texts


class Desk:
    @tacho.tool
    def method(self, a: int) -> str:
        return str(a)

    @tacho.tool
    @staticmethod
    def fixed(a: int) -> str:
        return str(a)

    @classmethod
    @tacho.tool
    def made(cls, a: int) -> Desk:
        return cls()


assert_type(bare("x", n=2), list[str])
assert_type(act("x"), bytes)
assert_type(wipe("x"), int)
assert_type(items(3), Iterator[int])
assert_type(items_async(3), AsyncIterator[int])
assert_type(ask("x"), Mapping[str, Any])
assert_type(find("x"), list[str])
assert_type(recall("x"), str | None)
assert_type(clean("x"), str)
assert_type(select([]), list[str])
assert_type(Desk().method(1), str)
assert_type(Desk.fixed(1), str)
assert_type(Desk.made(1), Desk)

bare(5)  # type: ignore[arg-type]  # the decorator must not loosen the parameter's type
tacho.tool(risk="enormous")  # type: ignore[call-overload]  # a closed set


async def facts() -> None:
    assert_type(await with_options("x"), int)
    assert_type(await charge_async(1.0), None)
    assert_type(
        tacho.gate("r", allow=True, action="blocked", proposal={}, reason="", risk="low").enforce(),
        tacho.Verdict,
    )
    assert_type(
        tacho.validate("c", ok=True, kind="range", field="f", message="m", value=1, by="x"), bool
    )
    with tacho.repair("w", max_attempts=2) as loop:
        assert_type(loop, tacho.Repair)
        assert_type(loop.attempt("feedback"), bool)
    assert_type(
        tacho.approve("r", context={}, approver=lambda r, c: True, timeout_s=1), tacho.Decision
    )
    assert_type(await tacho.approve_async("r"), tacho.Decision)
    tacho.checkpoint("l", done=[1], in_flight=(2,), todo=(2,), lost=[3], action="restored")
    async with tacho.budget(
        usd=1, tokens=1, model_calls=1, tool_calls=1, steps=1, wall_s=1.5
    ) as budget:
        assert_type(budget, tacho.Budget)
        assert_type(budget.used("usd"), float)
    assert_type(tacho.degraded(), bool)
    tacho.on_degrade(lambda reached: reached.unit)
    tacho.handoff("to", reason="r", payload=1)
    tacho.breaker_event("n", "closed", "open", "r")
    tacho.breaker_refused("n", "call", reason="r")
    tacho.tool_refused(
        "t", why="out_of_scope", arguments={}, offered=["a"], scope="x:y", call_id="c", reason="r"
    )
    tacho.normalized(removed=["a"], injections=["p"], cut_chars=1, reason="r")
    tacho.context_chosen(
        candidates=[1],
        selected=1,
        dropped={"stale": [1]},
        budget_tokens=1,
        used_tokens=1,
        compacted_from_tokens=1,
        reason="r",
    )
    assert_type(tacho.context_headers(), dict[str, str])
    with tacho.continue_from({"traceparent": "x"}) as continued:
        assert_type(continued, tacho.Continued)
    async with tacho.normalize(name="mail") as block:
        block.output(1)
    tacho.retry_event("o", 1, ValueError(), 0.5)
    tacho.fallback_event("a", "b", "r", reduced="x", told="y")
    tacho.evaluate("n", score=1, label="l", explanation="e", case="c", expected=1, actual=2)
    run = tacho.current_run()
    assert_type(run, tacho.Run)
    assert_type(run.id, str)
    run.tag("a")
    run.outcome("stopped", "r")
    run.set(goal="g", customer="c", weight=1.5)
    assert_type(tacho.wrap(clean)("x"), str)
    assert_type(tacho.flush(timeout_s=1), bool)
    assert_type(tacho.shutdown(timeout_s=1), bool)
    assert_type(tacho.instrument("anthropic"), list[str])
    tacho.uninstrument("anthropic")
    with captured_spans(deterministic=True) as spans:
        assert_type(spans, SpanList)
        assert_type(spans.one(layer="gate", name="n"), SpanRecord)
        assert_type(spans[0].events, tuple[Event, ...])
        assert spans[0].start_time_ns == FIRST_MOMENT_NS + STEP_NS


@tacho.budget(model_calls=1)
def limited(a: int) -> str:
    return str(a)


assert_type(limited(1), str)


def stops() -> int:
    tacho.stop("rule", "reason", needs="n")


def what_may_be_raised() -> str:
    try:
        return str(stops())
    except tacho.BudgetExceeded as exceeded:
        assert_type(exceeded.limit, float)
        return exceeded.unit
    except tacho.RunStopped as stopped:
        return stopped.needs
    except tacho.Refused as refused:
        return refused.rule
    except tacho.TachographError:
        return ""


@tacho.cached
async def tools_of(server: str, *, most: int = 10) -> list[str]:
    return [server] * most


async def use_cached() -> None:
    assert_type(await tools_of("a", most=1), list[str])


@tacho.tool(aliases="look")
def look_up(order: str) -> str:
    return order


@tacho.agent(aliases=["plan", "Old.plan"])
def planner(order: str) -> str:
    return order


def their_exporter(exporter: SpanExporter) -> SpanExporter:
    return tacho.masked(exporter)
