"""A decorated function is the function: same kind, signature, attributes, life of its values."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import functools
import gc
import inspect
import pickle
import types
import weakref

import pytest

import tachograph as tacho

DECORATORS = [
    tacho.step,
    tacho.tool,
    tacho.run,
    tacho.agent,
    tacho.retrieval,
    tacho.model(provider="x"),
]


@tacho.step
def at_module_level(n: int, *, twice: bool = False) -> int:
    """Doc."""
    return 2 * n if twice else n


def _function(a: int, /, b: str = "x", *rest: int, c: bool = False, **more: str) -> str:
    """Doc."""
    return b


async def _coroutine(a: int) -> int:
    return a


def _generator(a: int):
    yield a


async def _async_generator(a: int):
    yield a


@types.coroutine
def _iterable_coroutine(a: int):
    yield from asyncio.sleep(0).__await__()
    return a


@pytest.mark.parametrize(
    "function", [_function, _coroutine, _generator, _async_generator, _iterable_coroutine]
)
@pytest.mark.parametrize("decorator", DECORATORS)
def test_inspect_sees_the_same_function(function, decorator):
    """Frameworks decide by it what to call and what to await."""
    wrapped = decorator(function)
    for ask in (
        inspect.iscoroutinefunction,
        asyncio.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        inspect.isfunction,
        inspect.signature,
        inspect.getdoc,
        inspect.unwrap,
        lambda made: (made.__name__, made.__qualname__, made.__module__, made.__annotations__),
    ):
        assert ask(wrapped) == ask(function)
    assert wrapped.__wrapped__ is function


def test_types_coroutine_can_be_awaited(spans):
    """Its yields go to the event loop, its result is the output."""

    async def main():
        return await tacho.step(_iterable_coroutine)(7)

    assert asyncio.run(main()) == 7
    assert spans.one().output == 7


def test_cached_functions_keep_their_cache(spans):
    """cache_info and cache_clear work, above and below."""
    above = tacho.step(functools.lru_cache(maxsize=8)(lambda n: n + 1))
    assert [above(1), above(1)] == [2, 2]
    assert above.cache_info().hits == 1
    assert above.cache_parameters()["maxsize"] == 8
    above.cache_clear()
    assert above.cache_info().currsize == 0
    below = functools.lru_cache(tacho.step(lambda n: n + 1))
    assert [below(1), below(1)] == [2, 2]
    assert len(spans) == 3


def test_partials_keep_their_parts(spans):
    """And those of coroutine functions can be awaited."""
    bound = tacho.tool(functools.partial(at_module_level.__wrapped__, twice=True))
    assert bound(4) == 8
    assert bound.keywords == {"twice": True}
    assert asyncio.run(tacho.tool(functools.partial(_coroutine, 3))()) == 3
    assert functools.partial(at_module_level, 5)() == 5


def test_methods_in_every_order(spans):
    """classmethod, staticmethod, property, cached_property and abstractmethod, on either side."""

    class Base(abc.ABC):
        @tacho.step
        @classmethod
        def one(cls):
            return cls.__name__

        @classmethod
        @tacho.step
        def two(cls):
            return cls.__name__

        @tacho.step
        @staticmethod
        def three(n):
            return n

        @staticmethod
        @tacho.step
        def four(n):
            return n

        @tacho.step
        @property
        def five(self):
            """Doc."""
            return self._five

        @five.setter
        def five(self, value):
            self._five = value

        @property
        @tacho.step
        def six(self):
            return 6

        @tacho.step
        @functools.cached_property
        def seven(self):
            return object()

        @tacho.step
        @abc.abstractmethod
        def eight(self):
            return 8

    class Child(Base):
        @tacho.step
        def eight(self):
            return super().eight() + 80

    assert Base.__abstractmethods__ == {"eight"}
    child = Child()
    child.five = 5
    assert [child.one(), Child.two(), child.three(3), Child.four(4)] == ["Child", "Child", 3, 4]
    assert [child.five, child.six, child.eight()] == [5, 6, 88]
    assert child.seven is child.seven
    assert Base.five.__doc__ == "Doc."
    assert "self" not in str([span.input for span in spans])


def test_decorated_functions_can_be_pickled():
    """By name, as every function: process pools need it."""
    assert pickle.loads(pickle.dumps(at_module_level)) is at_module_level


def test_thrown_generator_exit_may_be_survived(spans):
    """Only close() insists; a thrown GeneratorExit is an exception like any other."""

    def stubborn():
        try:
            yield 1
        except GeneratorExit:
            yield "survived"

    for function in (stubborn, tacho.step(stubborn)):
        made = function()
        next(made)
        assert made.throw(GeneratorExit) == "survived"
        made = function()
        next(made)
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            made.close()


def test_abandoned_generator_cleans_up_at_once_and_keeps_nothing_alive(spans):
    """Without waiting for the garbage collector, as a plain one does."""
    cleaned = []

    class Item:
        pass

    @tacho.step(capture_output=False)
    def items():
        try:
            while True:
                yield Item()
        finally:
            cleaned.append(True)

    gc.disable()
    try:
        made = items()
        item = weakref.ref(next(made))
        assert item() is None
        next(made)
        del made
        assert cleaned == [True]
    finally:
        gc.enable()
    assert spans.one().attributes["tacho.abandoned"] is True


def test_exception_that_passed_through_keeps_nothing_alive(spans):
    """No cycle between a frame of ours and the exception: memory is freed when it was before."""

    class Payload:
        pass

    @tacho.step
    def body():
        payload = Payload()
        seen_payload.append(weakref.ref(payload))
        yield payload

    seen_payload: list = []
    gc.collect()
    gc.disable()
    try:
        made = body()
        next(made)
        with contextlib.suppress(LookupError):
            made.throw(LookupError("x"))
        del made
        assert seen_payload[0]() is None
    finally:
        gc.enable()
