"""What is remembered of acknowledged bodies, for how long, and how much of it."""

from __future__ import annotations

import asyncio

from tachograph_collector.window import Verdict, Window, fingerprint


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def stored(window: Window, key: bytes) -> None:
    window.open(key)
    window.settle(key, None)


def test_only_what_is_on_disk_is_remembered():
    window = Window()
    assert window.find(b"a") is None
    verdict = window.open(b"a")
    assert window.find(b"a") is verdict
    assert not verdict.settled
    window.settle(b"a", None)
    assert (verdict.settled, verdict.error) == (True, None)
    assert window.find(b"a").error is None


def test_a_failure_is_told_to_all_who_wait_and_forgotten():
    window = Window()
    verdict, fault = window.open(b"a"), OSError("disk")
    waiting = window.find(b"a")
    window.settle(b"a", fault)
    assert verdict.error is fault
    assert waiting.error is fault
    assert window.find(b"a") is None


def test_bodies_are_forgotten_after_their_time():
    clock = Clock()
    window = Window(keep_s=600, clock=clock)
    stored(window, b"a")
    clock.now += 599
    assert window.find(b"a") is not None
    clock.now += 2
    assert window.find(b"a") is None
    stored(window, b"b")
    assert len(window) == 1


def test_the_oldest_are_forgotten_when_there_are_too_many():
    window = Window(most=3)
    for key in (b"a", b"b", b"c", b"a", b"d"):
        stored(window, key)
    assert len(window) == 3
    assert window.find(b"b") is None
    assert window.find(b"a") is not None


def test_who_waits_hears_the_verdict_or_gives_up_without_harm():
    async def main():
        verdict = Verdict()
        assert await verdict.within(0.001) is False
        heard = [asyncio.create_task(verdict.within(30)) for _ in range(3)]
        await asyncio.sleep(0)
        heard[0].cancel()
        verdict.settle(None)
        assert await asyncio.gather(*heard[1:]) == [True, True]
        assert await verdict.within(30) is True

    asyncio.run(main())


def test_projects_do_not_share_bodies():
    assert fingerprint("one", b"body") != fingerprint("two", b"body")
    assert fingerprint("a", b"bc") != fingerprint("ab", b"c")
    assert fingerprint("one", b"body") == fingerprint("one", b"body")
