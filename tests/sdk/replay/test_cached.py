"""warm-cache: a cache that is declared is cold at the beginning of each run, so its replay makes the same calls."""

from __future__ import annotations

import asyncio

import pytest
from taped import assert_identical

import tachograph as tacho
from tachograph.replay._run import replay

FETCHED = []


@tacho.tool
def list_tools(server):
    FETCHED.append(server)
    return [f"{server} {len(FETCHED)}"]


@tacho.tool
async def list_later(server):
    await asyncio.sleep(0)
    FETCHED.append(server)
    return [f"{server} {len(FETCHED)}"]


tools_of = tacho.cached(list_tools)
tools_later = tacho.cached(list_later)


@tacho.tool
def use(tools):
    return tools_of("inner") + tools


@tacho.run
async def agent():
    """The same list from the model's turn, from a tool, and again."""
    seen = [use(tools_of("a")), tools_of("a"), await tools_later("b"), await tools_later("b")]
    return [*seen, tools_of("inner")]


@pytest.fixture(autouse=True)
def nothing_fetched():
    FETCHED.clear()
    yield
    tools_of.cache_clear()


def test_a_declared_cache_is_cold_in_each_run(tapes):
    """Recorded in a process that was warm already, and replayed in it: identical, and fetched once a run."""
    tools_of("a")
    for _ in range(2):
        FETCHED.clear()
        (outcome, result), recording = tapes.record(agent)
        assert outcome == "ok", result
        assert FETCHED == ["a", "inner", "b", "inner"]
        assert_identical(replay(recording, agent))
        assert len(FETCHED) == 4, "nothing was fetched in the replay"


def test_runs_at_once_do_not_share(tapes):
    async def both():
        return await asyncio.gather(agent(), agent())

    asyncio.run(both())
    assert FETCHED.count("a") == 2


def test_outside_of_a_run_it_is_the_processes():
    """As functools.cache is, until it is cleared."""
    assert tools_of("c") is tools_of("c")
    tools_of.cache_clear()
    tools_of("c")
    assert FETCHED == ["c", "c"]


def test_a_failure_is_not_kept():
    tries = []

    @tacho.cached
    def flaky(value):
        tries.append(value)
        if len(tries) == 1:
            raise ValueError(value)
        return value

    with pytest.raises(ValueError):
        flaky(1)
    assert flaky(1) == flaky(1) == 1
    assert len(tries) == 2


def test_a_generator_is_refused():
    def lines():
        yield 1

    with pytest.raises(TypeError, match="is a generator"):
        tacho.cached(lines)


def test_arguments_that_look_like_named_ones_are_not_taken_for_them():
    given = tacho.cached(lambda *args, **kwargs: (args, kwargs))
    assert given((1,), (("a", 2),)) == (((1,), (("a", 2),)), {})
    assert given(1, a=2) == ((1,), {"a": 2})
