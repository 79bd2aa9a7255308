"""Decorators leave functions what they are and record what they did."""

from __future__ import annotations

import asyncio
import inspect
import traceback

import pytest

import tachograph as tacho

ALL = [
    tacho.run,
    tacho.agent,
    tacho.step,
    tacho.model,
    tacho.tool,
    tacho.effect,
    tacho.retrieval,
    tacho.memory,
    tacho.normalize,
    tacho.context,
]


@pytest.mark.parametrize("decorator", ALL)
@pytest.mark.parametrize("called", [False, True])
def test_function_kind_name_and_signature_are_preserved(decorator, called):
    """Frameworks inspect functions to find out how to call them."""

    def plain(a: int, *, b: str = "x") -> str: ...
    async def coroutine(a: int) -> str: ...
    def generator(a: int):
        yield a

    async def async_generator(a: int):
        yield a

    for function in (plain, coroutine, generator, async_generator):
        decorated = (decorator() if called else decorator)(function)
        assert inspect.signature(decorated) == inspect.signature(function)
        assert decorated.__name__ == function.__name__
        assert decorated.__wrapped__ is function
        for question in (
            inspect.iscoroutinefunction,
            inspect.isgeneratorfunction,
            inspect.isasyncgenfunction,
        ):
            assert question(decorated) == question(function)


def test_layers_names_and_operations_follow_the_convention(spans):
    """Each decorator makes a span of its layer, named as the GenAI convention names it."""
    tacho.agent(name="planner")(lambda: None)()
    tacho.tool(name="refund", risk="high", scope="orders:write", call_id="c1")(lambda: None)()
    tacho.effect(name="charge")(lambda: None)()
    tacho.model(provider="acme", model="m-1")(lambda: None)()
    tacho.retrieval(store="kb")(lambda query: None)("late parcels")
    tacho.memory(name="recall", operation="read", tier="long")(lambda: None)()
    tacho.step(name="parse")(lambda: None)()
    tacho.normalize(name="clean")(lambda: None)()
    tacho.context(name="select")(lambda: None)()

    assert [
        (span.layer, span.name, span.attributes.get("gen_ai.operation.name")) for span in spans
    ] == [
        ("agent", "invoke_agent planner", "invoke_agent"),
        ("tool", "execute_tool refund", "execute_tool"),
        ("tool", "execute_tool charge", "execute_tool"),
        ("model", "chat m-1", "chat"),
        ("retrieval", "retrieval kb", "retrieval"),
        ("memory", "recall", "search_memory"),
        ("step", "parse", None),
        ("normalize", "clean", None),
        ("context", "select", None),
    ]
    refund, charge = spans[1].attributes, spans[2].attributes
    assert refund["tacho.tool.risk"] == "high"
    assert "tacho.tool.effect" not in refund, "what was not declared is not claimed"
    assert (refund["tacho.tool.scope"], refund["gen_ai.tool.call.id"]) == ("orders:write", "c1")
    assert charge["tacho.tool.effect"] == "write"
    assert spans[4].attributes["gen_ai.retrieval.query.text"] == "late parcels"


def test_arguments_are_bound_by_name_and_frozen_at_the_call(spans):
    """A later mutation of an argument must not change the record."""

    @tacho.tool
    def add(order: dict, *lines: str, note: str = "none", **extra: int) -> dict:
        order["lines"] = list(lines)
        return order

    result = add({"id": 7}, "a", "b", rush=1)
    result["later"] = True

    assert spans[0].input == {
        "order": {"id": 7},
        "lines": ["a", "b"],
        "note": "none",
        "extra": {"rush": 1},
    }
    assert spans[0].output == {"id": 7, "lines": ["a", "b"]}


def test_methods_are_recorded_without_their_receiver(spans):
    """Methods, static and class methods work in either order of decorators."""

    class Desk:
        @tacho.tool
        def plain(self, a):
            return a

        @tacho.tool
        @staticmethod
        def fixed(a):
            return a

        @staticmethod
        @tacho.tool
        def fixed_inside(a):
            return a

        @tacho.tool
        @classmethod
        def made(cls, a):
            return cls, a

        @classmethod
        @tacho.tool
        def made_inside(cls, a):
            return cls, a

    desk = Desk()
    assert desk.plain(1) == desk.fixed(1) == Desk.fixed_inside(1) == 1
    assert Desk.made(1) == desk.made_inside(1) == (Desk, 1)
    assert [span.input for span in spans] == [{"a": 1}] * 5


def test_capture_can_be_switched_off(spans):
    """Functions that handle what must not be stored say so."""

    @tacho.tool(capture_input=False, capture_output=False)
    def login(password):
        return password

    login("x")
    assert spans[0].input is None
    assert spans[0].output is None


def test_exceptions_pass_unchanged_with_one_added_frame(spans):
    """The very same object comes out; the record has type, message and the user's frames."""
    error = LookupError("no such order")

    @tacho.tool
    def find():
        raise error

    with pytest.raises(LookupError) as caught:
        find()

    assert caught.value is error
    assert [frame.name for frame in traceback.extract_tb(error.__traceback__)][-2:] == [
        "call",
        "find",
    ]
    assert len(traceback.extract_tb(error.__traceback__)) == 3
    span = spans.one()
    assert (span.status, span.status_message) == ("error", "no such order")
    assert span.attributes["error.type"] == "LookupError"
    event = span.events[0]
    assert event.attributes["exception.message"] == "no such order"
    assert "in find" in event.attributes["exception.stacktrace"]
    assert "_wrap.py" not in event.attributes["exception.stacktrace"]


def test_exception_whose_text_raises_is_recorded_all_the_same(spans):
    """User code inside exceptions must not hurt: it runs guarded."""

    class Odd(Exception):
        def __str__(self):
            raise RuntimeError

    @tacho.step
    def fail():
        raise Odd

    with pytest.raises(Odd):
        fail()
    assert "could not be recorded: RuntimeError" in spans.one().status_message


def test_deep_recursion_is_recorded_with_a_bounded_stack(spans):
    """A RecursionError brings a thousand frames: the record keeps the ends."""

    @tacho.step
    def fail():
        def down():
            down()

        down()

    with pytest.raises(RecursionError):
        fail()
    assert len(spans.one().events[0].attributes["exception.stacktrace"]) < 20_000


def test_gathered_tasks_nest_under_their_caller(spans):
    """asyncio carries context: parallel tools are siblings under the run."""

    @tacho.tool
    async def look(name):
        await asyncio.sleep(0)
        return name

    @tacho.run
    async def work():
        return await asyncio.gather(*(look(str(n)) for n in range(10)))

    assert asyncio.run(work()) == [str(n) for n in range(10)]
    tools = spans.where(layer="tool")
    assert len(tools) == 10
    assert {span.parent for span in tools} == {"invoke_agent work"}
    assert sorted(span.input["name"] for span in tools) == [str(n) for n in range(10)]


def test_dropped_coroutine_ends_its_span_without_noise(spans, caplog):
    """A coroutine closed in the middle is no error of ours and leaves no context behind."""

    class Pause:
        def __await__(self):
            yield

    @tacho.tool
    async def wait():
        await Pause()

    coroutine = wait()
    coroutine.send(None)
    coroutine.close()
    assert spans.one().status == "unset"
    tacho.step(name="after")(lambda: None)()
    assert spans.one(name="after").parent is None
    assert not caplog.records


def test_cancelled_call_is_recorded_as_cancelled(spans):
    """A timeout cancels tools: that must be visible."""

    @tacho.tool
    async def wait():
        await asyncio.sleep(60)

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await wait()

    asyncio.run(main())
    assert spans.one().attributes["error.type"].endswith("CancelledError")


def test_decorating_something_else_says_what_to_do():
    """`@tacho.tool("refund")` is an easy slip."""
    with pytest.raises(TypeError, match="options by keyword"):
        tacho.tool("refund")  # type: ignore[call-overload]


def test_options_may_come_from_the_call(spans):
    """call_id and model are known only when the call is made."""

    @tacho.tool(call_id=tacho.arg("call"))
    def act(call):
        return call

    @tacho.model(model=lambda given: given["request"]["model"])
    def ask(request):
        return request

    act("call-9")
    ask({"model": "m-2"})
    assert spans[0].attributes["gen_ai.tool.call.id"] == "call-9"
    assert spans[1].name == "chat m-2"
