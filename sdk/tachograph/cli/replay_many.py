"""``tacho replay --since 24h``: every recorded run of a time against the code as it is now, before it is deployed."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tachograph.cli.connection import reading
from tachograph.cli.problem import ANSWER_IS_NO, USAGE, Problem
from tachograph.cli.replay_records import Memory, replay_result
from tachograph.cli.runs import moment
from tachograph.cli.terminal import fit, print_json, print_lines, width
from tachograph_schemas.words import excerpt, plain

if TYPE_CHECKING:
    from tachograph.replay._process import Processes
    from tachograph_schemas.recordings import RecordingState

TIMEOUT_S = 300.0
"""Of one replay; an agent that does nothing is given up much earlier."""
_NOT_REPLAYABLE = ("LEAK", "DECODE")
"""Differences that say nothing of the agent's decisions: the recording lacks something."""
_BAR = 24
_LISTED = 20
_GROUP_CHARS = 140
"""Of each of its parts: names and reasons are the agent's, and may be of any length."""


@dataclass(slots=True)
class Verdict:
    """What came of one run."""

    run_id: str
    agent: str
    state: str
    """``identical``, ``changed`` or ``not_replayable``."""
    reason: str = ""
    kind: str = ""
    step: int = 0
    name: str = ""
    where: str = ""

    @property
    def group(self) -> str:
        """What it has in common with others, as far as it is told: what looks the same is one group."""
        if self.state != "changed":
            return excerpt(self.reason, _GROUP_CHARS)
        place = f", {excerpt(self.where, _GROUP_CHARS)}" if self.where else ""
        return f"{self.kind} {excerpt(self.name, _GROUP_CHARS) or 'of the run'}{place}"


@dataclass(slots=True)
class Summary:
    """What came of all."""

    asked: int
    verdicts: list[Verdict] = field(default_factory=list)
    memory: Memory | None = None
    """Where it is put down."""

    def of(self, state: str) -> list[Verdict]:
        """Those in a state."""
        return [verdict for verdict in self.verdicts if verdict.state == state]

    def groups(self, state: str) -> list[tuple[str, list[Verdict]]]:
        """Those in a state by what they have in common, the largest first."""
        found: dict[str, list[Verdict]] = defaultdict(list)
        for verdict in self.of(state):
            found[verdict.group].append(verdict)
        return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))


def add_many(parser: argparse.ArgumentParser) -> None:
    """The arguments for many runs at once."""
    many = parser.add_argument_group("many runs at once")
    many.add_argument(
        "--since",
        type=moment,
        metavar="WHEN",
        help="replay every run recorded since then instead of one RUN: 24h, 7d, or a date such as 2026-11-01 (UTC)",
    )
    many.add_argument("--agent", default="", help="with --since: only of this agent")
    many.add_argument(
        "--most", type=int, default=10_000, metavar="N", help="with --since: the newest N; 10000"
    )
    many.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="with --since: processes at a time; default: one a processor",
    )


def replay_many(arguments: argparse.Namespace) -> int:
    """Replay all of them: 0 all are identical, 1 one differs or cannot be replayed.

    Raises:
        Problem: nothing was recorded in that time, or the storage cannot be reached.
    """
    if arguments.html is not None:
        raise Problem("--html is for one RUN.", code=USAGE)
    with _loading(arguments) as (states, load):
        if not states:
            raise Problem(
                "No run was recorded in that time. Runs are recorded for replay unless TACHO_RECORD is off.",
                code=ANSWER_IS_NO,
            )
        summary = _replay_all(states, load, arguments)
    if arguments.json:
        print_json(_as_json(summary))
    else:
        print_lines(plain(line) for line in _told(summary, arguments))
    _put_down(summary, arguments)
    return 0 if len(summary.of("identical")) == summary.asked else ANSWER_IS_NO


def _put_down(summary: Summary, arguments: argparse.Namespace) -> None:
    """The summary, for the dashboard's page of replays."""
    if summary.memory is None:
        return
    options = {
        "since": arguments.since.isoformat(),
        "agent": arguments.agent,
        "code": arguments.code.resolve().name,
    }
    summary.memory.summary(options, _as_summary(summary))
    if not summary.memory.answers:
        print(
            "The collector did not answer: this is not in the history of the runs.", file=sys.stderr
        )


def _as_summary(summary: Summary) -> dict[str, Any]:
    """Counts, and what the largest groups have in common; without payloads."""
    states = ("changed", "not_replayable")
    groups = [
        {"state": state, "said": said, "runs": len(those), "example": those[0].run_id}
        for state in states
        for said, those in summary.groups(state)[:_LISTED]
    ]
    counts = {state: len(summary.of(state)) for state in ("identical", *states)}
    return {"runs": summary.asked, **counts, "groups": groups}


Load = Callable[[str], bytes | None]


@contextmanager
def _loading(arguments: argparse.Namespace) -> Iterator[tuple[list[RecordingState], Load]]:
    """What was recorded, and how to get each package; one at a time, as the connection is one."""
    from tachograph_schemas import recordings, tapes

    one_at_a_time = threading.Lock()
    with reading() as client:

        def load(run_id: str) -> bytes | None:
            with one_at_a_time:
                found = recordings.load(client, run_id)
            return None if found is None else tapes.zipped(found.tape, dict(found.blobs))

        most = max(arguments.most, 1)
        yield recordings.since(client, arguments.since, arguments.agent, most), load


def _replay_all(states: list[RecordingState], load: Load, arguments: argparse.Namespace) -> Summary:
    from tachograph.replay._process import Processes

    processes = Processes(TIMEOUT_S)
    memory = Memory({"lenient": True} if arguments.lenient else {})
    summary = Summary(len(states), memory=memory)
    progress = _Progress(summary)
    with ThreadPoolExecutor(max(arguments.jobs, 1), "tacho-replay") as pool:
        try:
            work = (
                lambda s=state: _verdict(s, load, arguments, processes, memory) for state in states
            )
            for verdict in _in_turn(pool, work, 2 * max(arguments.jobs, 1)):
                summary.verdicts.append(verdict)
                progress.show()
        except BaseException:
            # Ctrl-C: nothing is left running, and the pool can end.
            processes.end()
            raise
        finally:
            progress.clear()
    processes.end()
    return summary


def _in_turn(
    pool: ThreadPoolExecutor, work: Iterable[Callable[[], Verdict]], window: int
) -> Iterator[Verdict]:
    """Results as they come, with only so many pieces of work handed out: a day's packages do not fit into memory."""
    pending: set[Future[Verdict]] = set()
    for piece in work:
        pending.add(pool.submit(piece))
        if len(pending) >= window:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in done)


def _verdict(
    state: RecordingState,
    load: Load,
    arguments: argparse.Namespace,
    processes: Processes,
    memory: Memory,
) -> Verdict:
    from tachograph.replay._process import replayed
    from tachograph.replay._recording import RecordingError

    verdict = Verdict(state.run_id, state.agent, "not_replayable")
    if not state.outcome:
        verdict.reason = "it has not ended, or was killed"
        return verdict
    package = load(state.run_id)
    if package is None:
        verdict.reason = "its recording is gone"
        return verdict
    try:
        answer = replayed(
            package, arguments.code, arguments.entry, lenient=arguments.lenient, among=processes
        )
    except RecordingError as error:
        verdict.reason = str(error)
        memory.replay(state.run_id, {"problem": f"It cannot be replayed: {error}."[:500]})
        return verdict
    memory.replay(state.run_id, replay_result(answer))
    found = answer["divergence"]
    if found is None:
        verdict.state = "identical"
        return verdict
    verdict.reason, verdict.kind = found["message"], found["kind"]
    verdict.step, verdict.name, verdict.where = found["step"], found["name"], found["where"]
    if verdict.kind not in _NOT_REPLAYABLE:
        verdict.state = "changed"
    return verdict


class _Progress:
    """A bar on a terminal's error stream; nothing elsewhere."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._on = sys.stderr.isatty()
        self.show()

    def show(self) -> None:
        """Draw it anew."""
        if not self._on:
            return
        summary = self._summary
        done = len(summary.verdicts)
        filled = _BAR * done // summary.asked
        bar = "█" * filled + "░" * (_BAR - filled)
        changed, cannot = len(summary.of("changed")), len(summary.of("not_replayable"))
        line = (
            f"{bar} {done:,} of {summary.asked:,}   {changed:,} changed   {cannot:,} not replayable"
        )
        sys.stderr.write(f"\r{fit(line, width() - 1)}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Leave no trace of it."""
        if self._on:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _as_json(summary: Summary) -> dict[str, Any]:
    def rows(state: str, *names: str) -> list[dict[str, Any]]:
        return [{name: getattr(each, name) for name in names} for each in summary.of(state)]

    return {
        "runs": summary.asked,
        "identical": len(summary.of("identical")),
        "changed": rows("changed", "run_id", "agent", "kind", "step", "name", "where", "reason"),
        "not_replayable": rows("not_replayable", "run_id", "agent", "reason"),
    }


def _told(summary: Summary, arguments: argparse.Namespace) -> Iterator[str]:
    of = f" of {arguments.agent}" if arguments.agent else ""
    yield f"{summary.asked:,} runs{of} replayed against {arguments.code.resolve()}"
    for state, word in (
        ("identical", "identical"),
        ("changed", "changed"),
        ("not_replayable", "cannot be replayed"),
    ):
        yield f"  {len(summary.of(state)):>7,}  {word}"
    for state, title in (
        ("changed", "What would change"),
        ("not_replayable", "Cannot be replayed"),
    ):
        groups = summary.groups(state)
        if groups:
            yield ""
            yield title
        for group, members in groups[:_LISTED]:
            yield f"  {len(members):>7,}  {group}"
            yield f"           tacho replay {members[0].run_id}"
        if len(groups) > _LISTED:
            yield f"           and {len(groups) - _LISTED} other kinds; --json has all"
