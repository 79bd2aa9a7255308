"""Random programs of nested functions, run plain and decorated: nothing that they do may differ."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tachograph as tacho

DECORATORS = [
    tacho.step,
    tacho.tool,
    tacho.run,
    tacho.agent,
    tacho.retrieval,
    tacho.model(provider="x"),
]


def plain(function):
    return function


class Trouble(Exception):
    pass


class Halt(BaseException):
    pass


ERRORS = [Trouble, ValueError, KeyError, Halt, StopIteration, asyncio.CancelledError]
KINDS = ["function", "generator", "coroutine", "async generator"]
actions = st.one_of(
    st.tuples(st.just("note"), st.integers(0, 9)),
    st.tuples(st.just("raise"), st.integers(0, len(ERRORS) - 1)),
    st.tuples(st.just("call"), st.integers(0, 3)),
    st.tuples(st.just("call caught"), st.integers(0, 3)),
    st.tuples(st.just("call translated"), st.integers(0, 3)),
    st.tuples(st.just("call finally"), st.integers(0, 3)),
    st.tuples(st.just("yield"), st.integers(0, 9)),
    st.tuples(st.just("yield stubborn"), st.integers(0, 9)),
    st.tuples(st.just("return"), st.integers(0, 9)),
)
bodies = st.lists(actions, max_size=5)
uses = st.lists(
    st.sampled_from(["next", "send", "throw", "throw exit", "close", "all"]), max_size=5
)
programs = st.tuples(
    st.lists(st.tuples(st.sampled_from(KINDS[:2]), bodies), min_size=4, max_size=4), uses
)
async_programs = st.tuples(
    st.lists(st.tuples(st.sampled_from(KINDS), bodies), min_size=4, max_size=4), uses
)


class Program:
    """Four functions that call those after them, each body a list of actions; writes what it did."""

    def __init__(self, parts, use, decorate) -> None:
        self.log: list[object] = []
        self.use = use
        self.kinds = [kind for kind, _ in parts]
        self.functions = [
            decorate(index)(getattr(self, f"make_{kind.replace(' ', '_')}")(index, body))
            for index, (kind, body) in enumerate(parts)
        ]

    def act(self, index, action, number):
        """The actions that are no calls; a returned pair ends the body."""
        self.log.append((index, action, number))
        if action == "raise":
            raise ERRORS[number](index, number)
        return (number,) if action == "return" else None

    def make_function(self, index, body):
        def function(depth):
            try:
                for action, number in body:
                    if action.startswith("call"):
                        self.call(index, action, number)
                    elif (end := self.act(index, action, number)) is not None:
                        return end
                return depth
            finally:
                self.log.append((index, "left"))

        return function

    def make_generator(self, index, body):
        def function(depth):
            for action, number in body:
                if action.startswith("call"):
                    self.call(index, action, number)
                elif action.startswith("yield"):
                    try:
                        self.log.append((index, "got", (yield number)))
                    except BaseException as error:
                        self.log.append((index, "thrown", seen(error)))
                        if action != "yield stubborn":
                            raise
                elif (end := self.act(index, action, number)) is not None:
                    return end
            return depth

        return function

    def make_coroutine(self, index, body):
        async def function(depth):
            for action, number in body:
                await asyncio.sleep(0)
                if action.startswith("call"):
                    await self.call_async(index, action, number)
                elif (end := self.act(index, action, number)) is not None:
                    return end
            return depth

        return function

    def make_async_generator(self, index, body):
        async def function(depth):
            for action, number in body:
                if action.startswith("call"):
                    await self.call_async(index, action, number)
                elif action.startswith("yield"):
                    try:
                        self.log.append((index, "got", (yield number)))
                    except BaseException as error:
                        self.log.append((index, "thrown", seen(error)))
                        if action != "yield stubborn":
                            raise
                elif self.act(index, action, number) is not None:
                    return

        return function

    def call(self, index, action, number):
        target = index + 1 + number
        if (
            target >= len(self.functions)
            or "async" in self.kinds[target]
            or self.kinds[target] == "coroutine"
        ):
            return
        try:
            self.log.append((index, "result", self.run(target)))
        except Exception as error:
            self.log.append((index, "caught", seen(error)))
            if action == "call translated":
                raise Trouble("translated") from error
            if action == "call finally":
                raise Trouble("during")  # noqa: B904 - its context is what is compared
            if action == "call":
                raise

    async def call_async(self, index, action, number):
        target = index + 1 + number
        if target >= len(self.functions):
            return
        if self.kinds[target] in KINDS[:2]:
            self.call(index, action, number)
            return
        try:
            self.log.append((index, "result", await self.run_async(target)))
        except Exception as error:
            self.log.append((index, "caught", seen(error)))
            if action != "call caught":
                raise Trouble("translated") from error

    def run(self, index):
        made = self.functions[index](index)
        if self.kinds[index] == "function":
            return made
        for step in self.use:
            try:
                if step == "all":
                    return list(made)
                self.log.append((index, step, advance(made, step)))
            except StopIteration as stop:
                return stop.value
        made.close()
        return "closed"

    async def run_async(self, index):
        made = self.functions[index](index)
        if self.kinds[index] == "coroutine":
            return await made
        for step in self.use:
            try:
                if step == "all":
                    return [item async for item in made]
                self.log.append((index, step, await advance_async(made, step)))
            except StopAsyncIteration:
                return "ended"
        await made.aclose()
        return "closed"


def advance(made, step):
    if step == "throw":
        return made.throw(Trouble("thrown"))
    if step == "throw exit":
        return made.throw(GeneratorExit)
    if step == "close":
        return made.close()
    try:
        return made.send("sent") if step == "send" else next(made)
    except TypeError as error:
        return str(error)


async def advance_async(made, step):
    if step == "throw":
        return await made.athrow(Trouble("thrown"))
    if step == "throw exit":
        return await made.athrow(GeneratorExit())
    if step == "close":
        return await made.aclose()
    return await anext(made)


def seen(error, depth=0):
    """An exception as a value: type, arguments, cause, context."""
    if error is None or depth > 8:
        return None
    texts = tuple(str(part) for part in error.args)
    return (
        type(error).__name__,
        texts,
        seen(error.__cause__, depth + 1),
        seen(error.__context__, depth + 1),
        error.__suppress_context__,
    )


def outcome(program, start):
    try:
        result = ("returned", start(program))
    except BaseException as error:
        result = ("raised", seen(error))
    return result, program.log


@given(programs, st.lists(st.sampled_from(DECORATORS), min_size=4, max_size=4))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_programs_behave_as_without_us(spans, program, decorators):
    """Results, exceptions with their causes and contexts, and the order of side effects."""
    expected = outcome(Program(*program, lambda _: plain), lambda made: made.run(0))
    found = outcome(Program(*program, decorators.__getitem__), lambda made: made.run(0))
    assert found == expected


@given(async_programs, st.lists(st.sampled_from(DECORATORS), min_size=4, max_size=4))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_async_programs_behave_as_without_us(spans, program, decorators):
    """The same for coroutines and async generators, called from a coroutine."""

    def start(made):
        async def main():
            if made.kinds[0] in KINDS[:2]:
                return made.run(0)
            return await made.run_async(0)

        return asyncio.run(main())

    expected = outcome(Program(*program, lambda _: plain), start)
    found = outcome(Program(*program, decorators.__getitem__), start)
    assert found == expected
