"""The stop rule against loops: off until a run asks for it, and then about same results alone."""

import asyncio
import itertools

import pytest

import tachograph as tacho
from tachograph import _loops
from tachograph.testing import captured_spans


@pytest.fixture(autouse=True)
def off_again(monkeypatch):
    """What one test switches on is off for the others."""
    monkeypatch.setattr(_loops, "in_force", False)


def looping(tool, most):
    made = []

    @tacho.run(agent="looper", stop_on_loop=most)
    def work():
        for at in range(10):
            tool("same")
            made.append(at)

    return work, made


def test_the_same_call_with_the_same_result_stops_the_run_before_it_is_made_again():
    called = []

    @tacho.tool
    def look(what):
        called.append(what)
        return "nothing"

    with captured_spans() as spans:
        work, _ = looping(look, 3)
        with pytest.raises(tacho.RunStopped, match="look was called 3 times"):
            work()
    assert len(called) == 3
    assert len([span for span in spans if span.attributes["tacho.layer"] == "tool"]) == 3
    stop = spans.one(layer="stop")
    assert stop.attributes["tacho.stop.rule"] == "loop"
    assert spans.one(layer="run").attributes["tacho.run.outcome"] == "stopped"


def test_a_call_that_fails_alike_is_a_loop_too():
    @tacho.tool
    def broken(what):
        raise OSError("no disk")

    @tacho.run(agent="looper", stop_on_loop=2)
    def work():
        for _ in range(5):
            try:
                broken("same")
            except OSError:
                continue

    with captured_spans(), pytest.raises(tacho.RunStopped, match="broken was called 2 times"):
        work()


def test_a_poll_whose_answer_changes_and_other_arguments_go_on():
    answers = itertools.cycle(["waiting", "running"])

    @tacho.tool
    def poll(what):
        return next(answers)

    @tacho.tool
    def read(page):
        return "the same everywhere"

    @tacho.run(agent="looper", stop_on_loop=2)
    def work():
        for at in range(6):
            poll("job")
            read(at)
        return "done"

    with captured_spans():
        assert work() == "done"


def test_without_the_option_nothing_is_watched():
    @tacho.tool
    def look(what):
        return "nothing"

    with captured_spans():
        work, made = looping(look, None)
        work()
    assert len(made) == 10
    assert not _loops.in_force


def test_coroutines_are_stopped_alike():
    @tacho.tool
    async def look(what):
        return "nothing"

    @tacho.run(agent="looper", stop_on_loop=2)
    async def work():
        for _ in range(5):
            await look("same")

    with captured_spans(), pytest.raises(tacho.RunStopped):
        asyncio.run(work())


@pytest.mark.parametrize("wrong", [0, 1, True, "3"])
def test_a_number_that_cannot_be_meant_is_said(wrong):
    @tacho.run(agent="looper", stop_on_loop=wrong)
    def work():
        return "done"

    with captured_spans(), pytest.raises(Exception, match="stop_on_loop"):
        work()
