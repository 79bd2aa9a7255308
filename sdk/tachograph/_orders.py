"""Orders of people: a run that is to pause waits at its next effect, one that is to stop ends there.

One thread holds a long poll to the collector, from the first run on; code on its way to an effect reads one
attribute. Without a collector the agent goes on: what was ordered before stays in force for half a minute, so that a
restart of the collector lets nobody slip through.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition
from typing import TYPE_CHECKING, Any, Literal

from tachograph import _shared_budgets
from tachograph._control import unrecorded
from tachograph._facts import begin, record
from tachograph._failure import safe_text
from tachograph._frame import Frame, frame_of
from tachograph._guard import guarded, say_rarely
from tachograph._told_budgets import at_place
from tachograph._waits import Background, Bell, Mutex
from tachograph.errors import RunStopped
from tachograph_schemas import names
from tachograph_schemas.control import MOST_WAIT_S, ORDERS

if TYPE_CHECKING:
    from tachograph._spans import SpanHandle
    from tachograph_schemas.control_client import ControlClient

BOUNDARIES: frozenset[names.Layer] = frozenset(("model", "tool", "step"))
FORGET_S = 30.0
"""How long orders hold without a word from the collector."""
RULE = "order"
"""The stop rule of a run that a person stopped."""
_AGAIN_S = 1.0
_NO_SUCH_THING_S = 60.0
_LOOK_S = 0.5
_ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class Order:
    """What a person ordered."""

    id: str
    action: Literal["pause", "stop"]
    scope: str
    target: str
    reason: str
    by: str

    def concerns(self, frame: Frame) -> bool:
        """Whether code in ``frame`` has to obey."""
        if self.scope == "all":
            return True
        run = frame.run
        if self.scope == "run":
            return run is not None and run.id == self.target
        # A sub-agent pauses with the agent whose run it works in.
        root = getattr(run.span, "attributes", None) if run is not None else None
        return self.target in {frame.agent, (root or {}).get(names.GEN_AI_AGENT_NAME)}


in_force: tuple[Order, ...] = ()
"""Read before every effect; empty nearly always."""
_ended: dict[str, str] = {}
"""Who took back the orders that were in force lately, by the order's id."""
_lock = Mutex()
_changed = Condition(_lock)
_follower: _Follower | None = None


def follow(client: ControlClient) -> None:
    """Listen to this collector, from the next run on."""
    global _follower
    forget()
    _follower = _Follower(client)


def forget() -> None:
    """Listen no more; nothing is in force."""
    global _follower
    before, _follower = _follower, None
    if before is not None:
        before.stop()
    _put({})


def run_started() -> None:
    """A run begins: from now on there is somebody to give orders to."""
    follower = _follower
    if follower is not None and follower.pid != os.getpid():
        with guarded("listening for orders"):
            follower.start()


def obey(layer: names.Layer) -> None:
    """Wait as long as this code is to pause. Call only when something is in force.

    Raises:
        RunStopped: a person stopped it.
    """
    if layer not in BOUNDARIES:
        return
    order = _concerning()
    if order is None:
        _stop_as_recorded()
        return
    if order.action == "pause":
        with _paused(order):
            while (now := _concerning()) is not None and now.action == "pause":
                with _lock:
                    _changed.wait(_LOOK_S)
    _stop_if_told()


async def obey_async(layer: names.Layer) -> None:
    """:func:`obey` without holding up the event loop.

    Raises:
        RunStopped: a person stopped it.
    """
    if layer not in BOUNDARIES or (order := _concerning()) is None:
        return
    if order.action == "pause":
        from asyncio import sleep

        with _paused(order):
            while (now := _concerning()) is not None and now.action == "pause":  # noqa: ASYNC110
                # Set by a thread, for any number of event loops.
                await sleep(_LOOK_S)
    _stop_if_told()


def _concerning() -> Order | None:
    """The order for this code, a stop before a pause."""
    frame = frame_of()
    mine = [order for order in in_force if order.concerns(frame)]
    return next((order for order in mine if order.action == "stop"), mine[0] if mine else None)


def _stop_if_told() -> None:
    order = _concerning()
    if order is None or order.action != "stop":
        return
    by = safe_text(order.by, 200)
    why = f"{by}: {order.reason}" if order.reason else by
    facts = {
        names.STOP_RULE: RULE,
        names.REASON: why,
        names.ORDER_ID: order.id,
        names.ORDER_BY: by,
    }
    record("stop", RULE, facts)
    at_place("stop", lambda: why, is_news=True)
    raise RunStopped(RULE, why)


def _stop_as_recorded() -> None:
    """In a replay: stop where a person had stopped the run that was recorded."""
    if _shared_budgets.replays and (why := at_place("stop", lambda: None, is_news=False)):
        raise RunStopped(RULE, str(why))


@contextmanager
def _paused(order: Order) -> Iterator[None]:
    """Record the wait: an approval nobody asked for, given by whoever lets the run go on."""
    facts = {
        names.APPROVAL_REQUEST: order.reason or "paused",
        names.ORDER_ID: order.id,
        names.ORDER_BY: order.by,
    }
    handle = begin("approval", "paused", facts)
    started_ns = time.monotonic_ns()
    try:
        yield
    finally:
        _record_end(handle, order, time.monotonic_ns() - started_ns)


def _record_end(handle: SpanHandle, order: Order, waiting_ns: int) -> None:
    from tachograph._spending import waited

    waited(waiting_ns / 1e9)
    now = _concerning()
    by = _ended.get(order.id, "")
    reason = "" if by or now is not None else "the collector could not be reached"
    handle.set(
        {
            names.WAITING_NS: waiting_ns,
            names.APPROVAL_DECISION: "stopped" if now is not None else "resumed",
            names.APPROVAL_APPROVER: safe_text(now.by if now is not None else by, 200) or None,
            names.REASON: reason or None,
        }
    )
    handle.end()


def _put(state: Mapping[str, Any]) -> None:
    global in_force
    with _lock:
        for ended in state.get("ended", ()):
            _ended[str(ended["id"])] = str(ended["ended_by"] or "")
        while len(_ended) > 100:
            del _ended[next(iter(_ended))]
        in_force = tuple(
            Order(
                str(each["id"]),
                "stop" if each["action"] == "stop" else "pause",
                str(each["scope"]),
                str(each["target"]),
                str(each["reason"]),
                str(each["actor"]),
            )
            for each in state.get("orders", ())
        )
        _changed.notify_all()


class _Follower:
    """The long poll of one process."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client
        self.pid = 0
        """Of the process whose thread it is; 0 before the first run."""
        self.stopping = False
        self._woken = Bell()

    def start(self) -> None:
        """Begin to listen in this process."""
        self.pid = os.getpid()
        Background(self._follow, "tachograph-orders").start()

    def stop(self) -> None:
        """Listen no more."""
        self.stopping = True
        self._woken.ring()

    def _follow(self) -> None:
        with unrecorded():
            self._listen()

    def _listen(self) -> None:
        tag, heard_s = "", time.monotonic()
        while not self.stopping:
            wait_s = MOST_WAIT_S if tag else 0
            query = {"known": tag, "wait_s": wait_s}
            answer = self._client.call("GET", ORDERS, query=query, timeout_s=wait_s + _ANSWER_S)
            if self.stopping:
                return
            tag = str(answer.data.get("tag", "")) if answer else ""
            if tag:
                heard_s = time.monotonic()
                with guarded("reading orders"):
                    _put(answer.data)
                    # Budgets hold without the collector, too: what they say then is theirs to say.
                    _shared_budgets.hear(answer.data.get("budgets", ()))
                continue
            _shared_budgets.hear_nothing()
            if in_force and time.monotonic() - heard_s > FORGET_S:
                say_rarely("orders", "tachograph: no word from the collector; paused runs go on")
                _put({})
            # A collector of another kind, which may say yes to everything, or a key that may not ask: no use in
            # asking often.
            again = answer.may_change and not answer
            self._woken.wait(_AGAIN_S if again else _NO_SUCH_THING_S)


def _after_fork() -> None:
    """In the child the thread is gone, and whatever it held."""
    global _lock, _changed, _follower
    _lock = Mutex()
    _changed = Condition(_lock)
    before = _follower
    if before is not None:
        _follower = _Follower(before._client)
        if before.pid:
            _follower.start()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
