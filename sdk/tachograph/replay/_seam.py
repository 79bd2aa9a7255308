"""Between the decorators and the engine: what becomes of a decorated call inside of a recorded or replayed run.

``hook`` is asked once a call. It answers with None (the call is none of ours), or with something that makes the call in
the four forms that functions have. Calls below an effect are not looked at: the effect as a whole is what is recorded.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from tachograph.replay._aside import Aside
from tachograph.replay._divergence import Diverged
from tachograph.replay._engine import Engine, Given, StreamSource
from tachograph.replay._loop import is_driven
from tachograph.replay._place import PLACE, Place, here, label_of
from tachograph.replay._pump import InPlace
from tachograph.replay._swap import as_set
from tachograph.replay._where import defined_at

if TYPE_CHECKING:
    from tachograph._call import Spec

EFFECTS = frozenset(("model", "tool", "retrieval", "memory"))
FRAMES = frozenset(("run", "agent", "step", "normalize", "context"))

Function = Callable[..., Any]
_MISSING = object()


class FrameSeam:
    """A decorated frame that runs as it is, under a label of its own."""

    frozen = None

    def __init__(self, place: Place) -> None:
        self._place = place

    @contextmanager
    def _in(self, function: Function) -> Iterator[None]:
        place = self._place
        place.engine.meet(function)
        token = PLACE.set(Place(place.engine, place.node.child(label_of(function))))
        try:
            yield
        finally:
            PLACE.reset(token)

    def call(self, function: Function, args: Any, kwargs: Any) -> Any:
        """A plain function."""
        with self._in(function):
            return function(*args, **kwargs)

    async def acall(self, function: Function, args: Any, kwargs: Any) -> Any:
        """A coroutine function."""
        with self._in(function):
            return await function(*args, **kwargs)

    def gen(self, function: Function, args: Any, kwargs: Any) -> Any:
        """A generator: its body's effects count where its consumer is."""
        self._place.engine.meet(function)
        return function(*args, **kwargs)

    agen = gen


class EffectSeam:
    """Something that the agent reaches out with: it happens once, and never while replaying."""

    __slots__ = ("_given", "_kind", "_name", "_place", "frozen")

    def __init__(self, place: Place, kind: str, given: Given, name: str | None = None) -> None:
        self._place = place
        self._kind = kind
        self._given = given
        self._name = name
        self.frozen: tuple[bytes, int] | None = None
        """The result in the form that a span takes, once the tape has it."""

    def _open(self, function: Function) -> tuple[Engine, int]:
        engine, node = self._place.engine, self._place.node
        engine.meet(function)
        node.count("call")
        try:
            name = self._name or label_of(function)
            return engine, engine.open(node, name, self._kind, self._given)
        except Diverged as diverged:
            # In a task of its own, a function has no caller on the stack.
            diverged.divergence.where = diverged.divergence.where or defined_at(function)
            raise

    def _starter(self, function: Function, args: Any, kwargs: Any) -> Callable[[], Any]:
        """What makes the call, inside of the effect's context."""
        if not self._place.engine.swaps:
            return partial(function, *args, **kwargs)

        def start() -> Any:
            positional, named = as_set(self._kind, function, args, kwargs)
            return function(*positional, **named)

        return start

    def _opened_on_loop(self, function: Function) -> tuple[Engine, int]:
        engine = self._place.engine
        if engine.exact and not engine.replaying and not is_driven(asyncio.get_running_loop()):
            engine.fall_back("an effect of it happens on an event loop of others")
        return self._open(function)

    def _inside(self, index: int) -> Place:
        place = self._place
        if place.engine.has_edits and (edits := place.engine.edits_of(index)):
            return Place(place.engine, place.node, inside=True, edits=edits)
        return place.below

    def call(self, function: Function, args: Any, kwargs: Any) -> Any:
        """A plain function."""
        engine, index = self._open(function)
        if engine.answers(index):
            if engine.baton is not None:
                with Aside(engine, "effect"):
                    pass  # others go on meanwhile, as they did
            return unwrapped(engine.answer(index))
        token = PLACE.set(self._inside(index))
        try:
            if engine.swaps:
                args, kwargs = as_set(self._kind, function, args, kwargs)
            if engine.baton is None:
                result = function(*args, **kwargs)
            else:
                with Aside(engine, "effect"):
                    result = function(*args, **kwargs)
        except BaseException as error:
            engine.close(index, "err", error)
            raise
        finally:
            PLACE.reset(token)
        engine.close(index, "ok", result)
        self.frozen = self._given.result
        return result

    async def acall(self, function: Function, args: Any, kwargs: Any) -> Any:
        """A coroutine function."""
        engine, index = self._opened_on_loop(function)
        if not (engine.exact or engine.answers(index)):
            return await self._in_place(engine, index, function(*args, **kwargs))
        before = contextvars.copy_context()
        context = before.copy()
        context.run(PLACE.set, self._inside(index))
        start = self._starter(function, args, kwargs)
        outcome = await engine.launch(index, start, context)
        if not engine.answers(index):
            _carry_back(before, context)
            self.frozen = self._given.result
        return unwrapped(outcome)

    async def _in_place(self, engine: Engine, index: int, going: Any) -> Any:
        """Await an effect in the task that calls it."""
        token = PLACE.set(self._inside(index))
        try:
            result = await going
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            engine.close(index, "cancel" if cancelled else "err", error)
            raise
        finally:
            PLACE.reset(token)
        engine.close(index, "ok", result)
        self.frozen = self._given.result
        return result

    def gen(self, function: Function, args: Any, kwargs: Any) -> Generator[Any, Any, Any]:
        """A generator: its items one by one."""
        engine, index = self._open(function)
        if engine.answers(index):
            return (yield from _recorded_items(engine, index))
        token = PLACE.set(self._inside(index))
        try:
            body = self._starter(function, args, kwargs)()
        finally:
            PLACE.reset(token)
        sent: Any = None
        thrown: BaseException | None = None
        while True:
            token = PLACE.set(self._inside(index))
            try:
                with Aside(engine, "effect"):
                    item = body.send(sent) if thrown is None else body.throw(thrown)
            except StopIteration as stop:
                engine.close(index, "end", stop.value)
                return stop.value
            except BaseException as error:
                closing = isinstance(error, GeneratorExit)
                engine.close(index, "close" if closing else "err", error)
                raise
            finally:
                PLACE.reset(token)
            engine.close(index, "item", item)
            sent, thrown = None, None
            try:
                sent = yield item
            except BaseException as error:
                thrown = error

    async def agen(self, function: Function, args: Any, kwargs: Any) -> AsyncGenerator[Any, Any]:
        """An async generator: its items one by one, in the order of the run."""
        engine, index = self._opened_on_loop(function)
        context = contextvars.copy_context()
        context.run(PLACE.set, self._inside(index))
        start = self._starter(function, args, kwargs)
        source: StreamSource
        if engine.exact or engine.answers(index):
            source = engine.stream(index, start, context)
        else:
            source = InPlace(engine, index, self._inside(index), start())
        sent: Any = None
        thrown: BaseException | None = None
        while True:
            kind, value = await source.step(sent, thrown)
            if kind == "end":
                return
            if kind == "close":
                raise thrown or GeneratorExit
            if kind != "item":
                unwrapped((kind, value))
            sent, thrown = None, None
            try:
                sent = yield value
            except BaseException as error:
                thrown = error


def _recorded_items(engine: Engine, index: int) -> Generator[Any, Any, Any]:
    while True:
        with Aside(engine, "effect"):
            pass
        kind, value = engine.answer(index)
        if kind == "end":
            return value
        if kind == "close":
            engine.misread(index, "is read further than it was.")
        if kind != "item":
            unwrapped((kind, value))
        try:
            yield value
        except GeneratorExit:
            with Aside(engine, "effect"):
                pass
            if not engine.failed and engine.answer(index)[0] != "close":
                engine.misread(index, "is left here; recorded, it was read further.")
            raise


def unwrapped(outcome: tuple[str, Any]) -> Any:
    """The value of an outcome; raises what it was, otherwise."""
    kind, value = outcome
    if kind == "err":
        raise value
    if kind == "cancel":
        raise value if isinstance(value, asyncio.CancelledError) else asyncio.CancelledError
    return value


def _carry_back(before: contextvars.Context, after: contextvars.Context) -> None:
    """Context variables that an effect's body has set are seen by its caller, as they would be without us."""
    for variable, value in after.items():
        if before.get(variable, _MISSING) is not value and variable is not PLACE:
            variable.set(value)


def hook(
    spec: Spec,
    given: dict[str, Any] | None,
    policies: tuple[str, str],
    writes: bool,
    frozen: bytes | None = None,
    limit_bytes: int = 0,
    span_id: int = 0,
) -> Any:
    """What is to make a decorated call, by its layer and by where it is called; None for what we leave alone.

    ``policies`` say how much of arguments and result may be kept, ``writes`` whether it changes the world,
    ``frozen``, ``limit_bytes`` and ``span_id`` are those of :class:`Given`.
    """
    place = PLACE.get()
    if spec.run is not None and (place is None or place.engine.over):
        from tachograph.replay import _session

        return _session.outermost(spec, policies)
    if place is None or place.inside or place.engine.over:
        return None
    layer = spec.layer
    if layer in EFFECTS:
        keeps_input, keeps_output = policies[0] == "full", policies[1] == "full"
        keeps = Given(given, keeps_input, keeps_output, writes, frozen, limit_bytes, span_id)
        return EffectSeam(place, layer, keeps)
    if layer in FRAMES:
        return FrameSeam(place)
    return None


def effect(kind: str, name: str, given: Any) -> EffectSeam | None:
    """The seam of an effect that is no decorated function; None outside of a run."""
    place = here()
    return None if place is None else EffectSeam(place, kind, Given(given), name)
