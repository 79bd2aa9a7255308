"""The wrapper around a decorated function, one form for each of the four kinds of function.

Each form leaves the function what it is (``inspect`` sees the same kind, name and signature) and adds
one frame to tracebacks and to the depth of recursion. Generators and coroutines check their arguments
when they are first advanced. With the SDK off it costs one global lookup. Whether a person has to allow the call is asked
before anything else, with the SDK off too: off means that nothing is recorded, not that everything is allowed.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, TypeVar, cast

from tachograph import _consent, _loops, _orders, _recorder, _spending
from tachograph._call import Spec, begin, begin_plain, estimate, tool_of
from tachograph._failure import is_cancellation

T = TypeVar("T")

OWN_TOOL = "__tacho_tool__"
"""On functions that ask whether they may be called: hooks into frameworks leave them to it."""
_CARRIED = ("cache_info", "cache_clear", "cache_parameters", "func", "args", "keywords")
"""What callers use of the objects of functools besides calling them."""


def decorate(target: T, make_spec: Callable[[Callable[..., Any], bool], Spec]) -> T:
    """``target`` (a function, ``staticmethod`` or ``classmethod``) wrapped as its kind requires."""
    if isinstance(target, staticmethod):
        return cast(T, staticmethod(_wrap(target.__func__, make_spec(target.__func__, False))))
    if isinstance(target, classmethod):
        function = cast(Callable[..., Any], target.__func__)
        return cast(T, classmethod(_wrap(function, make_spec(function, True))))
    if isinstance(target, property) and target.fget is not None:
        # What is read is recorded; setting and deleting stay as they are.
        return cast(T, target.getter(_wrap(target.fget, make_spec(target.fget, True))))
    if isinstance(target, functools.cached_property):
        read = cast(Callable[..., Any], target.func)
        return cast(T, functools.cached_property(_wrap(read, make_spec(read, True))))
    if not callable(target) or inspect.isclass(target):
        raise TypeError(
            f"tachograph decorators take functions and methods, not {type(target).__qualname__}; "
            "pass options by keyword, as in @tacho.tool(name='refund')"
        )
    return cast(T, _wrap(target, make_spec(target, False)))


def _wrap(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    wrapped = _wrap_by_kind(function, spec)
    if spec.run is not None:
        # What a recording may name as its entrypoint.
        wrapped.__tacho_run__ = True  # type: ignore[attr-defined]  # a function of ours
    if spec.consent is not None:
        setattr(wrapped, OWN_TOOL, True)
    if type(function) is not types.FunctionType:
        for name in _CARRIED:
            # Methods of the object that was wrapped, which functools.wraps does not see.
            if not hasattr(wrapped, name) and hasattr(function, name):
                setattr(wrapped, name, getattr(function, name))
    return wrapped


def _wrap_by_kind(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    code = getattr(function, "__code__", None)
    if code is not None and code.co_flags & inspect.CO_ITERABLE_COROUTINE:
        return _wrap_iterable_coroutine(function, spec)
    if inspect.isasyncgenfunction(function):
        return _wrap_async_generator(function, spec)
    if inspect.iscoroutinefunction(function):
        return _wrap_coroutine(function, spec)
    if inspect.isgeneratorfunction(function):
        return _wrap_generator(function, spec)
    return _wrap_function(function, spec)


def _wrap_function(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    asks = spec.consent

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if asks and (_consent.in_force or asks.own) and (terms := asks.terms()):
            args, kwargs = asks.ask(terms, args, kwargs)
        if _recorder._active is None:
            return function(*args, **kwargs)
        watch = _loops.before(spec, args, kwargs) if _loops.in_force else None
        recorded = begin_plain(spec, args, kwargs)
        recorded.enter()
        seam = recorded.seam
        try:
            result = (
                function(*args, **kwargs) if seam is None else seam.call(function, args, kwargs)
            )
        except BaseException as error:
            recorded.fail(error)
            if watch is not None:
                watch.failed(error)
            raise
        recorded.succeed(result)
        if watch is not None:
            watch.returned(result)
        return result

    return call


def _wrap_coroutine(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    asks = spec.consent

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        if asks and (_consent.in_force or asks.own) and (terms := asks.terms()):
            args, kwargs = await asks.ask_async(terms, args, kwargs)
        if _recorder._active is None:
            return await function(*args, **kwargs)
        if _orders.in_force or _spending.asks():
            await _hear_people(spec, args, kwargs)
        watch = _loops.before(spec, args, kwargs) if _loops.in_force else None
        recorded = begin_plain(spec, args, kwargs)
        recorded.enter()
        seam = recorded.seam
        try:
            result = await (
                function(*args, **kwargs) if seam is None else seam.acall(function, args, kwargs)
            )
        except BaseException as error:
            recorded.fail(error)
            if watch is not None:
                watch.failed(error)
            raise
        recorded.succeed(result)
        if watch is not None:
            watch.returned(result)
        return result

    return call


async def _hear_people(spec: Spec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Wait out pauses, and ask on behalf of budgets, without holding up the event loop as the call itself would."""
    if _orders.in_force:
        await _orders.obey_async(spec.layer)
    if _spending.asks():
        tool = tool_of(spec, args, kwargs)
        await _spending.ask_first(
            spec.layer, tool, lambda: estimate(spec, args, kwargs), spec.cost_usd
        )


def _wrap_iterable_coroutine(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    """A function under ``types.coroutine``: what it yields goes to the event loop, it is no output."""
    asks = spec.consent

    @types.coroutine
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        if asks and (_consent.in_force or asks.own) and (terms := asks.terms()):
            args, kwargs = yield from asks.ask_async(terms, args, kwargs).__await__()
        if _recorder._active is None:
            return (yield from function(*args, **kwargs))
        if _orders.in_force or _spending.asks():
            yield from _hear_people(spec, args, kwargs).__await__()
        recorded = begin(spec, args, kwargs)
        recorded.enter()
        try:
            result = yield from function(*args, **kwargs)
        except BaseException as error:
            recorded.fail(error)
            raise
        recorded.succeed(result)
        return result

    return call


def _wrap_generator(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    """Runs the body step by step, its span current only while the body's own code runs.

    Not ``yield from``, recording or not: that would close the body where the consumer throws a
    GeneratorExit into it, which the body may survive.
    """
    asks = spec.consent

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        if asks and (_consent.in_force or asks.own) and (terms := asks.terms()):
            args, kwargs = asks.ask(terms, args, kwargs)
        recorded = begin(spec, args, kwargs)
        seam = recorded.seam
        items: list[Any] = []
        sent: Any = None
        thrown: BaseException | None = None
        try:
            body = function(*args, **kwargs) if seam is None else seam.gen(function, args, kwargs)
            while True:
                recorded.resume()
                try:
                    items.append(body.send(sent) if thrown is None else body.throw(thrown))
                except StopIteration as stop:
                    result = stop.value
                    break
                finally:
                    # This frame's reference to its own exception would keep the caller's objects alive.
                    sent, thrown = None, None
                    recorded.suspend()
                recorded.yielded(items[0])
                try:
                    # Taken out as it is handed over: what the consumer got is not kept alive here.
                    sent = yield items.pop()
                except BaseException as error:
                    if type(error) is GeneratorExit:
                        recorded.abandon()
                    thrown = error
        except BaseException as error:
            recorded.fail(error)
            raise
        recorded.exhausted(result)
        return result

    return call


def _wrap_async_generator(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    asks = spec.consent

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        if asks and (_consent.in_force or asks.own) and (terms := asks.terms()):
            args, kwargs = await asks.ask_async(terms, args, kwargs)
        if _orders.in_force or _spending.asks():
            await _hear_people(spec, args, kwargs)
        recorded = begin(spec, args, kwargs)
        seam = recorded.seam
        items: list[Any] = []
        sent: Any = None
        thrown: BaseException | None = None
        try:
            body = function(*args, **kwargs) if seam is None else seam.agen(function, args, kwargs)
            while True:
                recorded.resume()
                try:
                    # Awaiting is allowed when closed by aclose(); dropped without a loop, the span has
                    # ended already and only the body's own cleanup is lost.
                    items.append(
                        await (body.asend(sent) if thrown is None else body.athrow(thrown))
                    )
                except StopAsyncIteration:
                    break
                finally:
                    sent, thrown = None, None
                    recorded.suspend()
                recorded.yielded(items[0])
                try:
                    sent = yield items.pop()
                except BaseException as error:
                    if issubclass(type(error), GeneratorExit) or is_cancellation(type(error)):
                        # Nobody awaits us at a yield: this is a loop closing what was dropped.
                        recorded.abandon()
                    thrown = error
        except BaseException as error:
            recorded.fail(error)
            raise
        recorded.exhausted(None)

    return call
