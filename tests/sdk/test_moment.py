"""Code of the agent's values that never comes to an end is left, and the agent goes on as if nothing had been."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import signal
import subprocess
import sys
import threading
import time
import weakref

import greenlet
import pytest

import tachograph as tacho
from tachograph import _moment
from tachograph._capture import capture
from tachograph._failure import safe_text
from tachograph._moment import TookTooLong, for_a_moment


def loop(*_args, **_kwargs):
    while True:
        pass


def stubborn(*_args, **_kwargs):
    """Two exceptions in a row do not end it."""
    for _ in range(2):
        with contextlib.suppress(BaseException):
            loop()
    loop()


@pytest.fixture(autouse=True)
def short_moments(monkeypatch):
    monkeypatch.setattr(_moment, "LIMIT_CPU_S", 0.02)
    monkeypatch.setattr(_moment, "_TICK_S", 0.01)


class Everything:
    """Whatever it is asked for takes for ever."""

    model_dump = loop
    __repr__ = __str__ = __eq__ = __hash__ = __len__ = __bool__ = __iter__ = __getattr__ = loop


class ArrayLike:
    shape = dtype = property(loop)


class Model:
    model_dump = stubborn


class Text(Exception):
    __str__ = loop


@dataclasses.dataclass
class Row:
    cell: int = 1

    def __getattribute__(self, name):
        return loop() if name == "cell" else object.__getattribute__(self, name)


VALUES = [Everything, ArrayLike, Model, lambda: Text("a"), lambda: [1, {"a": Model()}], Row]
DECORATORS = [
    tacho.tool,
    tacho.run(agent="a"),
    tacho.model(provider="p", model="m"),
    tacho.retrieval(store="s"),
]


@pytest.mark.parametrize("make", VALUES)
@pytest.mark.parametrize("decorator", DECORATORS)
def test_a_call_with_a_value_that_loops_returns(spans, make, decorator):
    value = make()
    assert decorator(lambda given: given)(value) is value
    (span,) = spans
    assert span.status != "error"


@pytest.mark.parametrize("make", VALUES[1:5])
def test_the_record_says_what_could_not_be_recorded(make):
    text, _ = capture(make(), 1_000)
    assert "its code did not come to an end" in text
    json.loads(text)


def test_facts_take_such_values(spans):
    value = Model()
    tacho.gate("limit", allow=True, proposal=value)
    tacho.validate("cap", False, value=value, message=Everything())
    tacho.checkpoint("c", done=[value])
    tacho.tool_refused("t", offered=Everything())
    tacho.context_chosen(candidates=Everything(), selected=1)
    assert [span.layer for span in spans] == [
        *("gate", "validation", "checkpoint", "tool", "context")
    ]
    assert "did not come to an end" in str(spans[3].attributes)


def test_an_exception_whose_text_loops_comes_out_as_it_went_in(spans):
    error = Text("a")

    @tacho.tool
    def fail():
        raise error

    with pytest.raises(Text) as caught:
        fail()
    assert caught.value is error
    (span,) = spans
    assert span.status == "error"
    assert "did not come to an end" in span.status_message


def test_nothing_is_left_over_for_the_agent(monkeypatch):
    """Calls that end about when their moment does: the exception reaches them or nobody."""
    monkeypatch.setattr(_moment, "LIMIT_CPU_S", 0.0)
    monkeypatch.setattr(_moment, "_TICK_S", 0.001)
    ended, strays = [], []

    def work(rounds):
        for length in range(rounds):
            try:
                for_a_moment(sum, range(1_000 * length))
            except TookTooLong:
                ended.append(length)
            try:
                for _ in range(500):
                    pass
            except TookTooLong:
                strays.append(length)

    threads = [threading.Thread(target=work, args=(120,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ended
    assert strays == []
    assert not _moment._under_way


def test_the_watch_ends_when_there_is_nothing_to_watch_and_begins_anew():
    assert safe_text(ArrayLike()).startswith("<")
    deadline_s = time.monotonic() + 30
    while _moment._is_watching and time.monotonic() < deadline_s:
        threading.Event().wait(0.005)
    assert not _moment._is_watching
    assert "did not come to an end" in safe_text(Text("a"))


def test_a_value_inside_another_is_part_of_its_moment():
    """The whole payload has one moment, however many such values it holds."""
    started_s = time.thread_time()
    text, _ = capture([Text("a") for _ in range(1_000)], 60_000)
    assert "its code did not come to an end" in text
    assert time.thread_time() - started_s < 5


def under_way(thread):
    """The call that ``thread`` is in, once it is watched."""
    deadline_s = time.monotonic() + 30
    while thread.ident not in _moment._under_way and time.monotonic() < deadline_s:
        threading.Event().wait(0.001)
    return _moment._under_way[thread.ident]


def test_code_that_only_waits_is_not_ended_for_it(monkeypatch):
    """The exception would arrive between ``acquire`` and the ``try`` behind it."""
    monkeypatch.setattr(_moment, "LIMIT_S", 0.02)
    lock, ended = threading.Lock(), []

    def wait():
        try:
            for_a_moment(lock.acquire)
        except TookTooLong:
            ended.append(True)

    with lock:
        thread = threading.Thread(target=wait)
        thread.start()
        call = under_way(thread)
        deadline_s = time.monotonic() + 30
        while call.rounds < 20 and time.monotonic() < deadline_s:
            threading.Event().wait(0.005)
        # Less than it may use while it begins to wait.
        assert call.rounds >= 20
        assert not call.was_ended
    thread.join(30)
    assert not ended


def test_code_that_polls_is_ended(monkeypatch):
    monkeypatch.setattr(_moment, "LIMIT_CPU_S", 1e9)
    monkeypatch.setattr(_moment, "LIMIT_S", 0.05)

    def poll():
        while True:
            time.sleep(0.001)

    with pytest.raises(TookTooLong):
        for_a_moment(poll)


def test_it_does_not_reach_the_greenlet_that_goes_on_meanwhile():
    main = greenlet.getcurrent()
    left = greenlet.greenlet(lambda: for_a_moment(main.switch, "away"))
    assert left.switch() == "away"
    call = _moment._under_way[threading.get_ident()]
    deadline_s = time.monotonic() + 30
    # The watch says first that it is about to end it, and then looks where the thread is.
    while not (call.was_ended and call.is_settled) and time.monotonic() < deadline_s:
        pass
    assert call.was_ended
    assert left.switch("back") == "back"
    assert not _moment._under_way


_STOPPED = """
import sys, time
from tachograph import _moment
_moment.LIMIT_S = 1.0
def dump():
    print("in", flush=True)
    for _ in range(10):
        time.sleep(0.01)
    return "whole"
print(_moment.for_a_moment(dump), flush=True)
"""


def test_a_process_that_was_stopped_goes_on_as_if_it_had_not_been():
    with subprocess.Popen(
        [sys.executable, "-c", _STOPPED], stdout=subprocess.PIPE, text=True
    ) as it:
        assert it.stdout.readline() == "in\n"
        it.send_signal(signal.SIGSTOP)
        # As long as it would otherwise be given, and more.
        threading.Event().wait(1.5)
        it.send_signal(signal.SIGCONT)
        assert it.stdout.read() == "whole\n"


def test_without_a_thread_to_watch_values_are_recorded_all_the_same(monkeypatch):
    def none(*_):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(_moment, "_is_watching", False)
    monkeypatch.setattr(_moment, "start_new_thread", none)
    assert for_a_moment(str, 1) == "1"
    assert not _moment._is_watching


def test_what_was_recorded_is_not_kept():
    class Value:
        pass

    value = Value()
    gone = weakref.ref(value)
    gc.disable()
    try:
        for_a_moment(repr, value)
        del value
        assert gone() is None
    finally:
        gc.enable()


def test_an_interruption_that_comes_with_it_is_not_lost():
    """Ctrl-C, and code of the value's that then does not end either."""

    class Value:
        def model_dump(self, **_):
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                loop()

    with pytest.raises(KeyboardInterrupt):
        capture(Value(), 100)
