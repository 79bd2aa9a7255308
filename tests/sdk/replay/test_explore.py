"""explore-race: other legal orders of the recorded outcomes, and the bug that hides in one of them."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from racing import fetch, pay, racy
from test_order import SCENARIOS

import tachograph as tacho
from tachograph.replay._explore import explore
from tachograph.replay._process import explored as explored_there
from tachograph.replay._process import replayed
from tachograph.replay._recording import Recording, RecordingError
from tachograph.replay._surroundings import notes


@tacho.run
async def sound():
    balance, _ = await asyncio.gather(fetch("balance"), fetch("limit"))
    return await pay(balance)


def test_explore_race(tapes):
    """The order that pays too much is found, told by its step, and found again by its seed."""
    (_, result), recording = tapes.record(racy)
    assert result == "paid 10"
    explored = explore(recording, racy, orders=20)
    assert explored.orders == 2
    found = explored.found[0]
    assert found.divergence.kind == "ARGS_CHANGED"
    assert found.divergence.changes == ["~ $.usd: 10 -> 50"]
    assert found.order[0] == 2
    assert [(turn.step, turn.overtakes) for turn in found.overtakings] == [(2, 1)]
    (again,) = explore(recording, racy, orders=1, seed=found.seed).found
    assert again.order == found.order


def test_explore_in_a_process_of_its_own(tapes):
    """Behind the fence, from the file, as `tacho check --orders` does."""
    _, recording = tapes.record(racy)
    answer = explored_there(recording.packed(), Path(__file__).parent, "racing:racy", 12)
    assert answer["orders"] == 2
    assert answer["found"][0]["divergence"]["kind"] == "ARGS_CHANGED"


def test_explore_finds_nothing_in_a_sound_agent(tapes):
    _, recording = tapes.record(sound)
    explored = explore(recording, sound, orders=20)
    assert explored.orders == 2
    assert not explored.found


@tacho.run
async def crowd():
    """Eight fetches in all orders; only whether the last one overtakes the first makes a difference."""
    seen = []

    async def one(number):
        name = {0: "balance", 7: "limit"}.get(number, "other")
        await fetch(name) if name != "other" else await noise(number)
        seen.append(number)

    await asyncio.gather(*(one(number) for number in range(8)))
    return await pay(10 if seen.index(0) < seen.index(7) else 50)


@tacho.tool
async def noise(number):
    await asyncio.sleep(0.001 * number)
    return number


def test_a_failing_order_is_shrunk_and_saved(tapes):
    """One outcome out of turn is left over; saved with the recording it is replayed so, until the race is mended."""
    (_, result), recording = tapes.record(crowd)
    assert result == "paid 10"
    explored = explore(recording, crowd, orders=20)
    found = explored.found[0]
    assert found.divergence.changes == ["~ $.usd: 10 -> 50"]
    (turn,) = found.overtakings
    assert turn.step == 8
    assert explored.as_dict()["found"][0]["because"][0].startswith(
        "step 8 (fetch) comes out before step "
    )
    saved = recording.in_order_of(explored.as_dict()["found"][0]["overtakings"])
    again = Recording.from_bytes(saved.packed())
    here = Path(__file__).parent
    answer = replayed(again.packed(), here, "test_explore:crowd")
    assert answer["divergence"]["changes"] == ["~ $.usd: 10 -> 50"]
    assert "another order" not in str(answer["divergence"]["message"])
    assert any("to show a race" in note for note in notes(again, None, {}))


INDEPENDENT = ("gather_duplicates", "seq_basic", "nested_subagents", "two_streams")


@pytest.mark.parametrize(
    "agent", [each for each in SCENARIOS if each.__name__ in INDEPENDENT], ids=lambda a: a.__name__
)
def test_legal_orders(tapes, agent):
    """Agents whose answers do not depend on the order have them in every order."""
    _, recording = tapes.record(agent)
    explored = explore(recording, agent, orders=10, seed=random.randrange(1 << 30))
    kinds = {found.divergence.kind for found in explored.found}
    assert kinds <= ({"RESULT_CHANGED"} if agent.__name__ == "two_streams" else set())
    assert explored.orders > (0 if agent.__name__ == "seq_basic" else 1)


def test_an_agent_that_polls_is_refused(tapes):
    @tacho.run
    async def polls():
        task = asyncio.create_task(fetch("limit"))
        while not task.done():  # noqa: ASYNC110 - the scenario
            await asyncio.sleep(0)
        return task.result()

    _, recording = tapes.record(polls)
    with pytest.raises(RecordingError, match="polls"):
        explore(recording, polls)
