"""Circuit breakers of pybreaker and purgatory: what they did, and that they still do it."""

from __future__ import annotations

import asyncio

import pybreaker
import pytest
from purgatory import AsyncCircuitBreakerFactory, SyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from tachograph.instruments import purgatory as purgatory_hook
from tachograph.instruments import pybreaker as pybreaker_hook
from tachograph_schemas import names


@pytest.fixture(params=[pybreaker_hook, purgatory_hook], autouse=True)
def hooks(request):
    request.param.install()
    yield request.param
    request.param.uninstall()


def fail():
    raise TimeoutError("slow")


def with_pybreaker(*, fails_at_last=False):
    """Two failures open it, a call is refused, time passes, one call goes through."""
    breaker = pybreaker.CircuitBreaker(fail_max=2, reset_timeout=3600, name="crm")
    with pytest.raises(TimeoutError):
        breaker.call(fail)
    with pytest.raises(pybreaker.CircuitBreakerError, match="threshold reached"):
        breaker.call(fail)
    with pytest.raises(pybreaker.CircuitBreakerError, match="still open"):
        breaker.call(fail)
    breaker.reset_timeout = 0
    if fails_at_last:
        with pytest.raises(pybreaker.CircuitBreakerError):
            breaker.call(fail)
    else:
        assert breaker.call(lambda: "answer") == "answer"


def with_purgatory(*, fails_at_last=False):
    factory = SyncCircuitBreakerFactory(default_threshold=2, default_ttl=3600)

    @factory("crm")
    def call(function):
        return function()

    for _ in range(2):
        with pytest.raises(TimeoutError):
            call(fail)
    with pytest.raises(OpenedState, match="Circuit crm is open"):
        call(fail)
    factory.get_breaker("crm").context.ttl = -1
    if fails_at_last:
        with pytest.raises(TimeoutError):
            call(fail)
    else:
        assert call(lambda: "answer") == "answer"


def with_async_purgatory(*, fails_at_last=False):
    async def main():
        factory = AsyncCircuitBreakerFactory(default_threshold=2, default_ttl=3600)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with await factory.get_breaker("crm"):
                    fail()
        with pytest.raises(OpenedState):
            async with await factory.get_breaker("crm"):
                raise AssertionError
        breaker = await factory.get_breaker("crm")
        breaker.context.ttl = -1
        if fails_at_last:
            with pytest.raises(TimeoutError):
                async with breaker:
                    fail()
        else:
            async with breaker:
                pass

    asyncio.run(main())


STORIES = [
    (pybreaker_hook, with_pybreaker, "fail"),
    (purgatory_hook, with_purgatory, None),
    (purgatory_hook, with_async_purgatory, None),
]


@pytest.mark.parametrize("last", ["closed", "opened"])
@pytest.mark.parametrize(("hook", "story", "refused"), STORIES)
def test_changes_and_refused_calls_are_recorded(hooks, spans, hook, story, refused, last):
    if hooks is not hook:
        story()
        assert len(spans) == 0
        return
    story(fails_at_last=last == "opened")
    told = spans.where(layer="breaker")
    assert [span.attributes[names.BREAKER_EVENT] for span in told] == [
        "opened",
        "refused",
        "half_open",
        last,
    ]
    assert [
        (span.attributes.get(names.BREAKER_FROM), span.attributes.get(names.BREAKER_TO))
        for span in told
    ] == [
        ("closed", "open"),
        (None, None),
        ("open", "half_open"),
        ("half_open", "open" if last == "opened" else "closed"),
    ]
    assert {span.attributes[names.BREAKER_NAME] for span in told} == {"crm"}
    assert told[1].attributes.get(names.BREAKER_REFUSED) == refused
    assert "open" in told[1].attributes[names.REASON]


@pytest.mark.parametrize(("hook", "story", "refused"), STORIES)
def test_nothing_is_left_after_uninstalling(hooks, spans, hook, story, refused):
    """The stories hold with and without: same results, same exceptions."""
    hooks.install()
    hooks.uninstall()
    story()
    assert len(spans) == 0


def test_listeners_and_decorators_of_pybreaker_work_as_before(spans):
    changes = []

    class Listener(pybreaker.CircuitBreakerListener):
        def state_change(self, cb, old_state, new_state):
            changes.append(new_state.name)

    breaker = pybreaker.CircuitBreaker(fail_max=1, listeners=[Listener()])

    @breaker
    def call():
        fail()

    with pytest.raises(pybreaker.CircuitBreakerError):
        call()
    breaker.close()
    assert changes == ["open", "closed"]
    assert call.__name__ == "call"
