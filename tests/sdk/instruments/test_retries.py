"""Retries of tenacity and stamina: every form of the loop, and nothing changed about it."""

from __future__ import annotations

import asyncio
import functools
import gc

import pytest
import stamina
import tenacity

from tachograph.instruments import stamina as stamina_hook
from tachograph.instruments import tenacity as tenacity_hook
from tachograph.testing import captured_spans
from tachograph_schemas import names

HOOKS = [tenacity_hook]


class Flaky:
    """Fails as often as it is told to, then answers."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0

    def __call__(self, *_):
        self.calls += 1
        if self.calls <= self.failures:
            raise TimeoutError(f"slow {self.calls}")
        return "answer"

    async def later(self):
        await asyncio.sleep(0)
        return self()


@pytest.fixture
def stamina_spans():
    stamina_hook.install()
    try:
        with captured_spans() as collected:
            yield collected
    finally:
        stamina_hook.uninstall()


THREE = {"stop": tenacity.stop_after_attempt(3), "wait": tenacity.wait_fixed(0.01)}


def decorated(flaky):
    @tenacity.retry(**THREE)
    def work():
        return flaky()

    return work()


def called(flaky):
    def work():
        return flaky()

    return tenacity.Retrying(**THREE)(work)


def looped(flaky):
    def work():
        for attempt in tenacity.Retrying(**THREE):
            with attempt:
                return flaky()
        raise AssertionError

    return work()


def decorated_async(flaky):
    @tenacity.retry(**THREE)
    async def work():
        return await flaky.later()

    return asyncio.run(work())


def looped_async(flaky):
    async def work():
        async for attempt in tenacity.AsyncRetrying(**THREE):
            with attempt:
                return await flaky.later()
        raise AssertionError

    return asyncio.run(work())


FORMS = [decorated, called, looped, decorated_async, looped_async]


def told(spans):
    return [
        (
            span.attributes[names.RETRY_ATTEMPT],
            span.attributes[names.RETRY_WAIT_MS],
            span.attributes[names.REASON],
            span.attributes[names.RETRY_OUTCOME],
        )
        for span in spans.where(layer="retry")
    ]


@pytest.mark.parametrize("form", FORMS)
def test_each_retry_says_why_how_long_and_how_it_ended(spans, form):
    assert form(Flaky(2)) == "answer"
    assert told(spans) == [(1, 10.0, "slow 1", "failed"), (2, 10.0, "slow 2", "succeeded")]
    span = spans[0]
    assert span.attributes[names.RETRY_OF].endswith(f"{form.__name__}.<locals>.work")
    assert span.attributes[names.ERROR_TYPE] == "TimeoutError"
    assert span.status == "unset"
    assert span.end_time_ns - span.start_time_ns >= 10_000_000


@pytest.mark.parametrize("form", FORMS)
def test_giving_up_raises_what_it_would(spans, form):
    with pytest.raises(tenacity.RetryError) as recorded:
        form(Flaky(9))
    assert [outcome for *_, outcome in told(spans)] == ["failed", "gave_up"]
    tenacity_hook.uninstall()
    with pytest.raises(tenacity.RetryError) as plain:
        form(Flaky(9))
    assert type(recorded.value.__cause__) is type(plain.value.__cause__) is TimeoutError
    assert len(spans) == 2


@pytest.mark.parametrize("form", FORMS)
def test_what_works_at_once_records_nothing(spans, form):
    form(Flaky(0))
    assert len(spans) == 0


def test_a_refused_result_is_retried_without_being_recorded(spans):
    answers = iter(["secret-1", "secret-2", "good"])
    loop = tenacity.Retrying(retry=tenacity.retry_if_result(lambda value: value != "good"))
    assert loop(lambda: next(answers)) == "good"
    assert told(spans) == [
        (1, 0.0, "its result was not accepted", "failed"),
        (2, 0.0, "its result was not accepted", "succeeded"),
    ]
    assert "secret" not in repr(spans.all())


def test_a_callback_instead_of_an_error_is_still_giving_up(spans):
    loop = tenacity.Retrying(**THREE, retry_error_callback=lambda _: "cached")
    assert loop(Flaky(9)) == "cached"
    assert told(spans)[-1][-1] == "gave_up"
    assert spans[0].attributes[names.RETRY_OF].endswith("test_retries.Flaky")


def test_a_loop_that_is_left_ends_its_span(spans):
    def leave():
        for attempt in tenacity.Retrying(**THREE):
            if attempt.retry_state.attempt_number == 2:
                return
            with attempt:
                raise TimeoutError("slow 1")

    leave()
    gc.collect()
    assert names.RETRY_OUTCOME not in spans.one(layer="retry").attributes


def test_functions_keep_what_tenacity_gives_them(spans):
    @tenacity.retry(**THREE)
    def work():
        return 1

    assert work() == 1
    assert work.statistics["attempt_number"] == 1
    assert work.retry_with(stop=tenacity.stop_after_attempt(1))() == 1


def test_stamina_gives_the_name(stamina_spans):
    flaky = Flaky(1)

    @stamina.retry(on=TimeoutError, attempts=3, wait_initial=0.01)
    def work():
        return flaky()

    assert work() == "answer"
    assert told(stamina_spans)[0][0] == 1
    assert told(stamina_spans)[0][3] == "succeeded"
    assert stamina_spans[0].attributes[names.RETRY_OF].endswith("work")
    caller = stamina.RetryingCaller(attempts=2, wait_initial=0.01).on(TimeoutError)
    with pytest.raises(TimeoutError):
        caller(Flaky(9))
    assert told(stamina_spans)[-1][3] == "gave_up"


def test_stamina_in_async_code_and_as_a_loop(stamina_spans):
    async def work(flaky):
        async for attempt in stamina.retry_context(on=TimeoutError, wait_initial=0.01):
            with attempt:
                return await flaky.later()
        raise AssertionError

    assert asyncio.run(work(Flaky(1))) == "answer"
    assert told(stamina_spans)[0][3] == "succeeded"


def test_stamina_alone_leaves_other_loops_out_and_either_may_go_first(stamina_spans):
    decorated(Flaky(1))
    assert len(stamina_spans) == 0
    tenacity_hook.install()
    tenacity_hook.uninstall()
    functools.partial(stamina.retry(on=TimeoutError, wait_initial=0.01), Flaky(1))()()
    assert len(stamina_spans) == 1
