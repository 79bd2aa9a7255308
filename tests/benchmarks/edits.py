"""How many recorded answers still reach the call that they belong to, after one edit of the agent.

python -m tests.benchmarks edits --runs 60

Five sub-agents at once make chained calls, each answered at random. The edited agent is forked from its beginning with tools from the
tape, so that whatever still has its recording is answered by it, and the rest is refused; where all prompts are edited, it is
replayed leniently. Kept: a call gets the answer that it got when it was recorded. Silent: it gets another's. Beside that,
a strict replay must say that something differs, or come to the recorded result.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk" / "replay"))

from taped import call, taping

import tachograph as tacho
from tachograph.replay._continue import Plan
from tachograph.replay._recording import Recording
from tachograph.replay._run import go_on, replay

EDITS = (
    "none",
    "another call inserted",
    "a call of the same name inserted",
    "all prompts changed",
    "a sub-agent added first",
    "sub-agents in another order",
    "a call removed",
)
LONGEST_S = 0.002
CHAIN = 3
HEAD = (
    "| edit | answers of unedited calls | kept | silent | strict: differs or same result |\n"
    "| --- | --- | --- | --- | --- |"
)
_edit = "none"
_got: dict[str, str] = {}
"""What each call got, by what it is for."""


@tacho.tool
async def ask(text: str) -> str:
    """A model, say."""
    await asyncio.sleep(random.uniform(0, LONGEST_S))
    return uuid.uuid4().hex[:8]


@tacho.tool
async def poll() -> str:
    """Asked the same by everybody, and answered differently."""
    await asyncio.sleep(random.uniform(0, LONGEST_S))
    return uuid.uuid4().hex[:8]


@tacho.tool
async def note(text: str) -> str:
    """Only the edited agent has it."""
    return text


async def _member(name: str) -> str:
    said = name
    prompt = "Please: " if _edit == "all prompts changed" else ""
    if name == "search" and _edit == "another call inserted":
        await _or_refused(note("what I am at"))
    if name == "search" and _edit == "a call of the same name inserted":
        await _or_refused(ask("what did I forget?"))
    for turn in range(CHAIN):
        said = _got[f"{name} {turn}"] = await ask(f"{prompt}{name} {turn} {said}")
        if not (name == "write" and turn == 1 and _edit == "a call removed"):
            _got[f"{name} look {turn}"] = await ask(f"{prompt}look at {name} {turn}")
        if turn == 1:
            _got[f"{name} poll"] = await poll()
    return said


async def _or_refused(made) -> None:
    with suppress(tacho.Refused):
        await made


# A function each: the place of a call is told by the labels above it.
async def plan() -> str:
    return await _member("plan")


async def search() -> str:
    return await _member("search")


async def write() -> str:
    return await _member("write")


async def review() -> str:
    return await _member("review")


async def check() -> str:
    return await _member("check")


async def added() -> str:
    with suppress(tacho.Refused):
        return await ask("what do the others do?") + await poll()
    return ""


@tacho.run
async def agent() -> list[str]:
    """Five at once, or six; their results by name."""
    members = [plan, search, write, review, check]
    if _edit == "sub-agents in another order":
        members.reverse()
    if _edit == "a sub-agent added first":
        members.insert(0, added)
    said = await asyncio.gather(*(member() for member in members))
    named = zip(members, said, strict=True)
    return sorted(f"{member.__name__}: {text}" for member, text in named if member is not added)


def main(words: list[str]) -> None:
    """Print a row for each kind of edit."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks edits")
    parser.add_argument("--runs", type=int, default=60, help="recordings for each kind of edit")
    runs = parser.parse_args(words).runs
    print(HEAD)
    for edit in EDITS:
        counts: Counter[str] = Counter()
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as folder:
                counts += _compared(edit, Path(folder))
        kept, silent = (100 * counts[key] / counts["calls"] for key in ("kept", "silent"))
        print(
            f"| {edit} | {counts['calls']:,} | {kept:.1f} % | {silent:.1f} % | {counts['honest']} of {runs} |"
        )
    print(f"\nload {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _compared(edit: str, folder: Path) -> Counter[str]:
    global _edit
    _edit = "none"
    _got.clear()
    with taping(folder) as tapes:
        outcome, value = call(agent)
        assert outcome == "ok", value
        recorded, recording = dict(_got), tapes.newest()
        data = recording.packed()
        _edit = edit
        strict = replay(Recording.from_bytes(data), agent)
        _got.clear()
        if edit == "all prompts changed":
            replay(recording, agent, lenient=True)
        else:
            go_on(Plan(recording, 1, tools_from_tape=True), agent)
    meant = [key for key in recorded if edit != "a call removed" or key != "write look 1"]
    return Counter(
        calls=len(meant),
        kept=sum(_got.get(key) == recorded[key] for key in meant),
        silent=sum(key in _got and _got[key] != recorded[key] for key in meant),
        honest=not strict.identical or strict.output == value,
    )
