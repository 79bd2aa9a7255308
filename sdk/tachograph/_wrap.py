"""The wrapper around a decorated function, one form for each of the four kinds of function.

Each form leaves the function what it is (``inspect`` sees the same kind, name and signature) and adds
one frame to tracebacks. With the SDK off it costs one global lookup.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, TypeVar, cast

from tachograph import _recorder
from tachograph._call import Call, Spec, begin

T = TypeVar("T")


def decorate(target: T, make_spec: Callable[[Callable[..., Any], bool], Spec]) -> T:
    """``target`` (a function, ``staticmethod`` or ``classmethod``) wrapped as its kind requires."""
    if isinstance(target, staticmethod):
        return cast(T, staticmethod(_wrap(target.__func__, make_spec(target.__func__, False))))
    if isinstance(target, classmethod):
        function = cast(Callable[..., Any], target.__func__)
        return cast(T, classmethod(_wrap(function, make_spec(function, True))))
    if not callable(target) or inspect.isclass(target):
        raise TypeError(
            f"tachograph decorators take functions and methods, not {type(target).__qualname__}; "
            "pass options by keyword, as in @tacho.tool(name='refund')"
        )
    return cast(T, _wrap(target, make_spec(target, False)))


def _wrap(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(function):
        return _wrap_async_generator(function, spec)
    if inspect.iscoroutinefunction(function):
        return _wrap_coroutine(function, spec)
    if inspect.isgeneratorfunction(function):
        return _wrap_generator(function, spec)
    return _wrap_function(function, spec)


def _wrap_function(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if _recorder._active is None:
            return function(*args, **kwargs)
        recorded = begin(spec, args, kwargs)
        recorded.enter()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            recorded.fail(error)
            raise
        recorded.succeed(result)
        return result

    return call


def _wrap_coroutine(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        if _recorder._active is None:
            return await function(*args, **kwargs)
        recorded = begin(spec, args, kwargs)
        recorded.enter()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            recorded.fail(error)
            raise
        recorded.succeed(result)
        return result

    return call


def _wrap_generator(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        if _recorder._active is None:
            return (yield from function(*args, **kwargs))
        recorded = begin(spec, args, kwargs)
        try:
            body = function(*args, **kwargs)
            result = yield from _drive(body, recorded)
        except BaseException as error:
            recorded.fail(error)
            raise
        recorded.exhausted(result)
        return result

    return call


def _drive(body: Generator[Any, Any, Any], recorded: Call) -> Generator[Any, Any, Any]:
    """Run ``body`` step by step, its span current only while its own code runs."""
    sent: Any = None
    thrown: BaseException | None = None
    while True:
        recorded.resume()
        try:
            item = body.send(sent) if thrown is None else body.throw(thrown)
        except StopIteration as stop:
            return stop.value
        finally:
            recorded.suspend()
        recorded.yielded(item)
        sent, thrown = None, None
        try:
            sent = yield item
        except GeneratorExit:
            recorded.abandon()
            _close(body, recorded)
            raise
        except BaseException as error:
            thrown = error


def _close(body: Generator[Any, Any, Any], recorded: Call) -> None:
    recorded.resume()
    try:
        body.close()
    finally:
        recorded.suspend()


def _wrap_async_generator(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        recorded = begin(spec, args, kwargs)
        body = function(*args, **kwargs)
        sent: Any = None
        thrown: BaseException | None = None
        try:
            while True:
                recorded.resume()
                try:
                    item = await (body.asend(sent) if thrown is None else body.athrow(thrown))
                except StopAsyncIteration:
                    break
                finally:
                    recorded.suspend()
                recorded.yielded(item)
                sent, thrown = None, None
                try:
                    sent = yield item
                except GeneratorExit:
                    recorded.abandon()
                    # Awaiting is allowed here when closed by aclose(); dropped without a loop, the
                    # span above has ended already and only the body's own cleanup is lost.
                    recorded.resume()
                    try:
                        await body.aclose()
                    finally:
                        recorded.suspend()
                    raise
                except BaseException as error:
                    if isinstance(error, asyncio.CancelledError):
                        # Nobody awaits us at a yield: this is a loop closing what was dropped.
                        recorded.abandon()
                    thrown = error
        except BaseException as error:
            recorded.fail(error)
            raise
        recorded.exhausted(None)

    return call
