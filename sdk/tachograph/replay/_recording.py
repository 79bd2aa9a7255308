"""A recording as replay reads it: calls by place and name, deliveries in order, reads, facts of the run."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tachograph.replay._turns import KINDS, GivenUp, Turn, that_were_used
from tachograph_schemas import tapes

FORMAT = 1
_FACTS: dict[str, type] = {
    "run_id": str,
    "entry": str,
    "file": str,
    "mode": str,
    "env": dict,
    "instruments": list,
    "rules": int,
}

_OUTCOMES = frozenset(("ok", "err", "cancel", "item", "end", "close"))


class RecordingError(ValueError):
    """A recording cannot be used; the message says why."""


@dataclass(slots=True)
class RecordedCall:
    """One effect as it was issued."""

    index: int
    path: str
    name: str
    kind: str
    args: Any
    """A tree of JSON types; ``None`` when arguments were withheld."""
    withheld: bool = False
    step: int = 0
    """Its number in the run, from 1."""
    used: bool = False
    cancelled: bool = False
    streams: bool = False
    """Gave items one by one."""
    lost: bool = False
    """Cancelled when its outcome was there already, which nobody got."""
    outcomes: deque[Outcome] = field(default_factory=deque)
    """Of calls that answer on the spot."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call, or one item of a stream, came out."""

    kind: str
    """``ok``, ``err``, ``cancel``; of streams also ``item`` and ``end``."""
    tree: Any = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One answer that reached the agent, in the order of the run."""

    index: int
    outcome: Outcome
    spin: int | None = None
    """After so many callbacks of the agent, when it never came to rest."""


class Recording:
    """One run's tape. Made by :func:`load` or from records and blobs."""

    def __init__(self, records: list[dict[str, Any]], blobs: dict[str, Any]) -> None:
        self.blobs = blobs
        self.records = records
        self.calls: list[RecordedCall] = []
        self._by_index: dict[int, RecordedCall] = {}
        self.deliveries: list[Delivery] = []
        self.reads: dict[tuple[str, str], deque[Any]] = defaultdict(deque)
        self.loop_times: dict[int, float] = {}
        self.timers: dict[str, deque[int]] = defaultdict(deque)
        self.turns: list[Turn | GivenUp] = []
        """Of its threads, in their order."""
        self._delivered: set[int] = set()
        self.leaks: list[str] = []
        self.forks: list[str] = []
        """Where the agent forked processes, of which nothing is recorded."""
        self.overtakings: list[tuple[int, int]] = []
        """Outcomes that come before their turn, when it is to be replayed in another order than it was recorded in."""
        self.run: dict[str, Any] = {}
        self.limits = ""
        """What keeps the recording from being replayed; empty when nothing does."""
        self.end: dict[str, Any] = {}
        self.code: dict[str, Any] = {}
        try:
            for record in records:
                self._take(record)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise RecordingError(f"the recording is malformed: {error!r}") from error
        self.turns = that_were_used(self.turns, self._delivered)
        if self.run.get("format") != FORMAT:
            raise RecordingError(
                f"the recording has format {self.run.get('format')!r}, this version reads {FORMAT}"
            )
        self._check_facts()

    def _check_facts(self) -> None:
        """What others take from the tape's first and last records has the form that they count on."""
        for field_name, kind in _FACTS.items():
            if not isinstance(self.run.get(field_name, kind()), kind):
                raise RecordingError(
                    f"the recording is malformed: its {field_name} is no {kind.__name__}"
                )
        if "args" not in self.run or "run_id" not in self.run:
            raise RecordingError("the recording is malformed: it does not say which run it is of")
        if self.end and self.end.get("o") not in {"ok", "err", "cancel"}:
            raise RecordingError("the recording is malformed: it does not say how the run ended")
        if not isinstance(self.code.get("files", {}), dict):
            raise RecordingError("the recording is malformed: its files are no table")

    @property
    def run_id(self) -> str:
        """The run it is of."""
        return str(self.run["run_id"])

    def check_replayable(self) -> None:
        """Raise where the recording says of itself that it does not suffice.

        Raises:
            RecordingError: it was made in light mode, has been cut, or needs a later Python.
        """
        if self.limits:
            raise RecordingError(self.limits)
        if self.run.get("mode") == "light":
            raise RecordingError("it was recorded in light mode, which keeps digests only")
        if self.run.get("tasks") == "eager" and not hasattr(asyncio, "eager_task_factory"):
            raise RecordingError(
                "its event loop starts tasks eagerly, which Python can from 3.12 on"
            )

    @property
    def complete(self) -> bool:
        """Whether the run's end is on the tape."""
        return bool(self.end)

    def call(self, index: int) -> RecordedCall:
        """The call of that index."""
        return self._by_index[index]

    def find(self, index: int) -> RecordedCall | None:
        """The call of that index; None when it is a timer's or a thread's."""
        return self._by_index.get(index)

    def came_of(self, call: RecordedCall) -> list[Outcome]:
        """All that a call gave."""
        delivered = (each.outcome for each in self.deliveries if each.index == call.index)
        return [*call.outcomes, *delivered]

    def _take(self, record: dict[str, Any]) -> None:
        kind = record["t"]
        if kind == "call":
            args = self._value(record.get("a"))
            call = RecordedCall(
                record["i"], record["p"], record["n"], record["k"], args, bool(record.get("w"))
            )
            call.step = len(self.calls) + 1
            self.calls.append(call)
            self._by_index[call.index] = call
        elif kind == "done":
            outcome = Outcome(record["o"], self._value(record.get("v")))
            if outcome.kind not in _OUTCOMES:
                raise ValueError("an outcome is of no known kind")
            if outcome.kind == "item":
                self._by_index[record["i"]].streams = True
            if "q" in record:
                self._delivered.add(record["q"])
                self.deliveries.append(Delivery(record["i"], outcome, record.get("s")))
            else:
                self._by_index[record["i"]].outcomes.append(outcome)
        elif kind == "cancel":
            call = self._by_index[record["i"]]
            call.cancelled, call.lost = True, bool(record.get("lost"))
        elif kind == "timer":
            self.timers[record["p"]].append(record["i"])
        elif kind == "tick":
            self.loop_times[record["q"]] = float(record["v"])
        elif kind == "read":
            self.reads[record["p"], record["n"]].append(self._value(record["v"]))
        elif kind == "light":
            self.limits = (
                f"it was recorded in light mode, which keeps digests only: {record['why']}"
            )
        elif kind == "cut":
            self.limits = f"{record['n']} records are missing on its tape: {record['why']}"
        elif kind == "turn":
            if record["k"] not in KINDS:
                raise ValueError("a turn is of no known kind")
            late, delivered = bool(record.get("x")), int(record.get("q", 0))
            self.turns.append(Turn(str(record["p"]), record["k"], late, delivered))
        elif kind == "noturns":
            self.turns.append(GivenUp(str(record["why"])))
        elif kind == "overtakings":
            self.overtakings = [(int(position), int(index)) for position, index in record["v"]]
        elif kind in {"leak", "fork"}:
            (self.leaks if kind == "leak" else self.forks).append(str(record["where"]))
        elif kind in {"run", "end", "code"}:
            fields = {key: self._value(value) for key, value in record.items() if key != "t"}
            setattr(self, kind, fields)

    def _value(self, tree: Any) -> Any:
        if isinstance(tree, dict) and tree.get("$") == "blob":
            name = tree.get("h")
            if name not in self.blobs:
                raise RecordingError(f"the blob {name} is missing")
            return self.blobs[str(name)]
        return tree

    def in_order_of(self, overtakings: list[list[int]]) -> Recording:
        """The same, to be replayed with these outcomes out of turn; see :mod:`._explore`."""
        records = [record for record in self.records if record["t"] != "overtakings"]
        return Recording([*records, {"t": "overtakings", "v": overtakings}], self.blobs)

    def packed(self) -> bytes:
        """The portable file."""
        crc, lines = 0, []
        for record in self.records:
            line, crc = tapes.frame(json.dumps(record, separators=(",", ":")), crc)
            lines.append(line)
        texts = {name: json.dumps(tree, separators=(",", ":")) for name, tree in self.blobs.items()}
        return tapes.zipped(b"".join(lines), texts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Recording:
        """The recording in a package.

        Raises:
            RecordingError: it is none, or a damaged one.
        """
        try:
            return cls(*tapes.unpack(data))
        except tapes.PackageError as error:
            raise RecordingError(str(error)) from error


def load(path: str | Path) -> Recording:
    """The recording in a file.

    Raises:
        RecordingError: it is none, or a damaged one.
        OSError: it cannot be read.
    """
    try:
        return Recording(*tapes.read_file(Path(path)))
    except tapes.PackageError as error:
        raise RecordingError(str(error)) from error
