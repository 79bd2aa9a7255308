"""Clocks, chance and environment: read live and written while recording, read from the tape while replaying.

Functions of ``time``, ``random``, ``os`` and ``uuid`` are replaced by ones that look where they are called from: agent
code gets a recorded reading, everything else (the event loop, libraries' threads, what happens below an effect,
logging, Tachograph itself) the real one. ``datetime`` is a C type: its class methods are replaced in the type's
dictionary, which CPython allows with a hint to its caches.

What is not covered: functions that a module took before Tachograph was started (``from time import time``), and
generators of torch. See docs/replay.md.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import gc
import os
import random
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from tachograph import _prices
from tachograph._waits import Mutex
from tachograph.replay import _numpy
from tachograph.replay._place import PLACE, Place, exactly_here

_installed: list[Callable[[], None]] = []
_lock = Mutex()
_is_installing = False
_LIBRARIES = frozenset(
    (
        *("asyncio", "concurrent", "logging", "threading", "selectors", "queue", "sched"),
        *("opentelemetry", "tachograph_schemas", "importlib", "_frozen_importlib", "uvloop"),
        *("http", "socket", "ssl", "httpcore", "httpcore2", "httpx", "httpx2", "urllib", "anyio"),
        *("anthropic", "openai", "tempfile", "warnings", "traceback", "inspect", "pytest"),
        *("_pytest", "subprocess", "multiprocessing", "_frozen_importlib_external", "contextlib"),
    )
)
"""Whose readings are their own business: none of them lets the agent see what it read."""
_PASSED_ON = frozenset(
    (
        *("os", "collections.abc", "random", "uuid", "secrets", "datetime"),
        # `~` and Path.home()
        *("posixpath", "ntpath", "pathlib", "pathlib._local", "pathlib._abc"),
    )
)
"""Modules that read on behalf of whoever called them."""
_known_modules: dict[str, bool] = {}


def is_library(name: str) -> bool:
    """Whether what a module reads, or waits for, is its own business."""
    known = _known_modules.get(name)
    if known is None:
        top = name.partition(".")[0]
        ours = top == "tachograph" and not name.startswith("tachograph.demo")
        known = _known_modules[name] = ours or top in _LIBRARIES
    return known


class _Reading(NamedTuple):
    place: Place
    prefix: str
    """``~`` for readings of installed packages: how often they read depends on their caches."""

    def take(self, name: str, real: Callable[[], Any]) -> Any:
        """The reading, live or recorded."""
        return self.place.engine.read(self.place.node, f"{self.prefix}{name}", real)


def _reader() -> _Reading | None:
    """Who reads, two frames up, when it is agent code or what it calls; None when others do."""
    place = PLACE.get()
    if place is None or place.inside or place.engine.over or not place.engine.exact:
        return None
    frame: Any = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name not in _PASSED_ON:
            if is_library(name):
                return None
            return _Reading(
                place, "~" if "site-packages" in frame.f_globals.get("__file__", "") else ""
            )
        frame = frame.f_back
    return None


def install() -> None:
    """Put the readings in place. Idempotent; they stay until :func:`uninstall`."""
    global _is_installing
    if _installed and not _is_installing:
        return
    # Another thread's run waits until all of them are there: what it read before would not be on its tape.
    with _lock:
        if _installed or _is_installing:
            return  # or a finaliser that runs in the midst of this begins a run
        _is_installing = True
        try:
            _put_in_place()
        finally:
            _is_installing = False


def _put_in_place() -> None:
    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter"):
        _replace(time, name, _reading(f"time.{name}", getattr(time, name)))
    _replace(time, "perf_counter_ns", _reading("time.perf_counter_ns", time.perf_counter_ns))
    _replace(time, "sleep", _sleeping(time.sleep))
    _replace(os, "urandom", _reading("os.urandom", os.urandom))
    _replace(random, "_urandom", os.urandom)
    _replace(uuid, "uuid1", _reading("uuid.uuid1", uuid.uuid1))
    _install_calendar()
    _install_random()
    _install_datetime()
    _install_environment()
    _numpy.install(_reader, _installed)
    _replace(_prices, "as_reading", _sdk_reading)
    _replace(_prices, "at_place", _sdk_decision)


def uninstall() -> None:
    """Give everything back."""
    with _lock:
        while _installed:
            _installed.pop()()


def _replace(owner: Any, name: str, value: Any) -> None:
    before = getattr(owner, name)
    setattr(owner, name, value)
    _installed.append(lambda: setattr(owner, name, before))


def _reading(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def read(*args: Any, **kwargs: Any) -> Any:
        reading = _reader()
        if reading is None:
            return real(*args, **kwargs)
        return reading.take(name, lambda: real(*args, **kwargs))

    return _disguised(read, real)


def _install_calendar() -> None:
    """Functions of ``time`` that look at the clock if they are given no time."""
    now, localtime = time.time, time.localtime

    def put(name: str, at: int, convert: Callable[[float], Any]) -> None:
        real = getattr(time, name)

        def read(*args: Any) -> Any:
            reading = _reader() if len(args) == at or args[at] is None else None
            if reading is None:
                return real(*args)
            # Not required of a recording: those that are older have none.
            now_s = reading._replace(prefix="~").take("time.now", now)
            return real(*args[:at], convert(now_s))

        _replace(time, name, _disguised(read, real))

    for name in ("gmtime", "localtime", "ctime"):
        put(name, 0, float)
    put("asctime", 0, localtime)
    put("strftime", 1, localtime)


def _disguised(read: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
    """``read`` by the names of what it stands for: it is pickled by them."""
    module = str(real.__module__)
    read.__module__ = "os" if module == "posix" else module
    read.__name__ = read.__qualname__ = getattr(real, "__name__", read.__name__)
    read.__doc__ = real.__doc__
    return read


def _sdk_reading(name: str, real: Callable[[], Any]) -> Any:
    """What Tachograph itself looks up for the agent."""
    place = exactly_here()
    if place is None:
        return real()

    def below() -> Any:
        token = PLACE.set(Place(place.engine, place.node, inside=True))
        try:
            return real()
        finally:
            PLACE.reset(token)

    return place.engine.read(place.node, name, below)


def _sdk_decision(what: str, real: Callable[[], Any], is_news: bool) -> Any:
    """What Tachograph has decided before the call that comes next here."""
    place = exactly_here()
    if place is None or not (is_news or place.engine.replaying):
        return real()
    # Everything that was begun here has been counted, in a replay as well.
    return _sdk_reading(f"~{what}@{sum(place.node.counts.values())}", real)


def _sleeping(real: Callable[[float], None]) -> Callable[..., Any]:
    from tachograph.replay._aside import Aside  # imports this module

    def sleep(seconds: float, /) -> None:
        place = PLACE.get()
        if place is None or place.inside:
            real(seconds)
            return
        with Aside(place.engine, "sleep"):
            if not place.engine.replaying:  # nobody waits in a replay
                real(seconds)

    return _disguised(sleep, real)


# --- chance ------------------------------------------------------------------------------------------


class _Chance(random.Random):
    """The generator behind the functions of ``random``, with its draws on the tape."""

    def random(self) -> float:
        reading = _reader()
        draw = super().random
        return draw() if reading is None else float(reading.take("random.random", draw))

    def getrandbits(self, k: int, /) -> int:
        reading = _reader()
        draw = super().getrandbits
        if reading is None:
            return draw(k)
        return int(reading.take("random.getrandbits", lambda: draw(k)))


def _install_random() -> None:
    shared: Any = random._inst  # behind random.random and the others
    before = type(shared)
    shared.__class__ = _Chance
    _installed.append(lambda: setattr(shared, "__class__", before))
    for name in ("random", "getrandbits"):
        _replace(random, name, getattr(shared, name))
    real_seed = random.Random.seed

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        reading = _reader() if a is None else None
        if reading is not None:
            # Unseeded, it would take its state from the system; so the seed is what is recorded.
            a = reading.take("random.seed", lambda: int.from_bytes(os.urandom(32), "big"))
        real_seed(self, a, version)

    _replace(random.Random, "seed", seed)


# --- datetime ----------------------------------------------------------------------------------------


def _install_datetime() -> None:
    """Readings of the wall clock through ``datetime`` and ``date``."""
    now, utcnow = dt.datetime.__dict__["now"], dt.datetime.__dict__["utcnow"]
    today = dt.date.__dict__["today"]

    plain = now.__get__(None, dt.datetime)

    def read_now(cls: Any, tz: Any = None) -> Any:
        reading = _reader()
        if reading is None:
            return now.__get__(None, cls)(tz)
        if tz is None:
            naive = reading.take("datetime.now", plain)
            return naive if cls is dt.datetime else cls.combine(naive.date(), naive.time())
        utc = reading.take("datetime.now", lambda: plain(dt.UTC))
        return cls.combine(utc.date(), utc.timetz()).astimezone(tz)

    def read_utcnow(cls: Any) -> Any:
        reading = _reader()
        real = utcnow.__get__(None, cls)
        return real() if reading is None else reading.take("datetime.utcnow", real)

    def read_today(cls: Any) -> Any:
        if issubclass(cls, dt.datetime):
            return cls.now()
        reading = _reader()
        real = today.__get__(None, cls)
        return real() if reading is None else reading.take("date.today", real)

    in_type(dt.datetime, "now", classmethod(read_now))
    in_type(dt.datetime, "utcnow", classmethod(read_utcnow))
    in_type(dt.date, "today", classmethod(read_today))


def in_type(cls: type, name: str, value: Any, undo: list[Callable[[], None]] = _installed) -> None:
    """Set an attribute of a C type, which ``setattr`` refuses; ``undo`` gets what gives it back."""
    if sys.implementation.name != "cpython":
        return
    # The dictionary behind the read-only view of it.
    behind = next((each for each in gc.get_referents(cls.__dict__) if isinstance(each, dict)), None)
    if behind is None or name not in behind:
        return
    before = behind[name]
    changed = ctypes.pythonapi.PyType_Modified

    def put(what: Any) -> None:
        behind[name] = what
        changed(ctypes.py_object(cls))

    put(value)
    undo.append(lambda: put(before))


# --- environment ---------------------------------------------------------------------------------------


_STANDARD = os.path.dirname(os.__file__)  # noqa: PTH120 - compared with file names as text


def _is_standard(frame: Any) -> bool:
    while frame is not None and frame.f_globals.get("__name__") in _PASSED_ON:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(_STANDARD)


def _install_environment() -> None:
    cls = type(os.environ)
    real = cls.__getitem__

    def get_item(self: Any, key: Any) -> Any:
        reading = _reader() if self is os.environ else None
        # Installed packages and the standard library look at variables when they are first used.
        if reading is None or reading.prefix or _is_standard(sys._getframe(1)):
            return real(self, key)
        value = reading.take(f"os.environ[{key}]", lambda: self._data_or_none(key))
        if value is None:
            raise KeyError(key)
        return value

    def data_or_none(self: Any, key: Any) -> Any:
        try:
            return real(self, key)
        except KeyError:
            return None

    real_names = cls.__iter__

    def names(self: Any) -> Any:
        reading = _reader() if self is os.environ else None
        if reading is None or reading.prefix or _is_standard(sys._getframe(1)):
            return real_names(self)
        # Not required of a recording: those that are older have none.
        seen = reading._replace(prefix="~")
        return iter(seen.take("os.environ", lambda: list(real_names(self))))

    cls._data_or_none = data_or_none  # type: ignore[attr-defined]  # taken off again below
    _installed.append(lambda: delattr(cls, "_data_or_none"))
    _replace(cls, "__getitem__", get_item)
    _replace(cls, "__iter__", names)


def _renew_lock() -> None:
    global _lock
    _lock = Mutex()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
