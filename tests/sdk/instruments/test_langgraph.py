"""Graphs of LangGraph: steps, interrupts, checkpoints, and results as without the hook."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, RetryPolicy, interrupt

import tachograph as tacho
from tachograph.instruments import langgraph as hook
from tachograph_schemas import names

HOOKS = [hook]


class State(TypedDict, total=False):
    order: str
    log: Annotated[list, operator.add]
    answer: object


def graph_of(*, checkpointer=None, is_async=False, **nodes):
    builder = StateGraph(State)
    before = START
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    builder.add_edge(before, END)
    return builder.compile(checkpointer=checkpointer)


@tacho.tool
def look_up(order):
    return 80


def read(state):
    return {"log": [look_up(state["order"])]}


def ask(state):
    return {"answer": interrupt("Refund 80 USD?"), "log": ["asked"]}


def run(graph, message, thread="t-1"):
    @tacho.run(agent="billing")
    def handle():
        return graph.invoke(message, {"configurable": {"thread_id": thread}})

    return handle()


def test_nodes_are_steps_with_what_happens_inside(spans):
    result = run(graph_of(read=read), {"order": "A", "log": []})
    step = spans.one(layer="step")
    assert step.name == "read"
    assert step.input["order"] == "A"
    assert step.output == {"log": [80]}
    assert spans.one(layer="tool").parent_id == step.span_id
    assert spans.where(layer="checkpoint") == []
    hook.uninstall()
    assert run(graph_of(read=read), {"order": "A", "log": []}) == result
    assert len(spans.where(layer="step")) == 1


def test_async_graphs_and_subgraphs(spans):
    async def later(state):
        await asyncio.sleep(0)
        return {"log": ["later"]}

    graph = graph_of(outer=graph_of(inner=later))
    assert asyncio.run(graph.ainvoke({"log": []}))["log"][-1] == "later"
    inner, outer = spans.where(layer="step")
    assert (inner.name, outer.name) == ("inner", "outer")
    assert inner.parent_id == outer.span_id


def test_errors_are_the_node_s(spans):
    def fail(state):
        raise ValueError("no such order")

    with pytest.raises(ValueError, match="no such order"):
        run(graph_of(fail=fail), {"log": []})
    assert spans.one(layer="step").attributes[names.ERROR_TYPE] == "ValueError"


@pytest.mark.parametrize(
    ("answer", "decision"),
    [(True, "approved"), ("reject", "refused"), ({"type": "accept"}, "approved"), ("40 USD", None)],
)
def test_an_interrupt_waits_for_a_person(spans, answer, decision):
    graph = graph_of(checkpointer=InMemorySaver(), read=read, ask=ask)
    stopped = run(graph, {"order": "A", "log": []})
    assert stopped["__interrupt__"][0].value == "Refund 80 USD?"
    pending = spans.one(layer="approval")
    assert pending.attributes[names.APPROVAL_DECISION] == "pending"
    assert pending.parent == "ask"
    assert [span.status for span in spans.where(layer="step")] == ["unset", "unset"]
    assert run(graph, Command(resume=answer))["answer"] == answer
    given = spans.where(layer="approval")[1]
    assert given.attributes.get(names.APPROVAL_DECISION) == decision
    assert given.attributes[names.APPROVAL_REQUEST] == "Refund 80 USD?"
    assert given.output == answer
    assert given.attributes[names.WAITING_NS] > 0


def test_checkpoints_are_saved_and_restored(spans):
    graph = graph_of(checkpointer=InMemorySaver(), read=read, ask=ask)
    run(graph, {"order": "A", "log": []})
    saved = spans.where(layer="checkpoint")
    assert {span.attributes[names.CHECKPOINT_ACTION] for span in saved} == {"saved"}
    assert [span.attributes[names.CHECKPOINT_LABEL] for span in saved] == [
        f"t-1: graph step {step}" for step in (-1, 0, 1)
    ]
    run(graph, Command(resume=True))
    actions = [
        span.attributes[names.CHECKPOINT_ACTION] for span in spans.where(layer="checkpoint")[3:]
    ]
    assert actions == ["restored", "saved"]


def test_a_step_budget_stops_a_graph_that_loops(spans):
    graph = graph_of(a=lambda _: {"log": [1]}, b=lambda _: {"log": [2]})
    with tacho.budget(steps=1), pytest.raises(tacho.BudgetExceeded):
        graph.invoke({"log": []})
    assert len(spans.where(layer="step")) == 1


def test_retries_of_a_node_are_inside_its_step(spans):
    failures = iter([True, False])

    def flaky(state):
        if next(failures):
            raise TimeoutError
        return {"log": ["done"]}

    builder = StateGraph(State)
    policy = RetryPolicy(initial_interval=0.001, jitter=False, retry_on=TimeoutError)
    builder.add_node("flaky", flaky, retry_policy=policy)
    builder.add_edge(START, "flaky")
    assert builder.compile().invoke({"log": []})["log"] == ["done"]
    assert spans.one(layer="step").status == "unset"
