"""What is said when a replay leaves the recorded road: kind, place, and the difference."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tachograph.replay._codec import class_id
from tachograph.replay._turns import Turn, TurnKind

DivergenceKind = Literal[
    "ARGS_CHANGED",
    "EXTRA_CALL",
    "MISSING_CALL",
    "ORDER_CHANGED",
    "NAME_CHANGED",
    "STREAM_CONSUMPTION",
    "EXCEPTION_CHANGED",
    "RESULT_CHANGED",
    "READ_COUNT",
    "STALLED",
    "LEAK",
    "DECODE",
    "BUDGET",
]
_CHANGES_LIMIT = 20
_SHOWN_CHARS = 300


@dataclass(slots=True)
class Divergence:
    """The first place where a replay differs from its recording."""

    kind: DivergenceKind
    message: str
    """One sentence that says what happened."""
    step: int = 0
    """The effect it is about, counted from 1; 0 for the run as a whole."""
    path: str = ""
    """Where in the agent: labels of frames and tasks; empty at the top."""
    name: str = ""
    expected: Any = None
    actual: Any = None
    changes: list[str] = field(default_factory=list)
    """Differences of arguments or results, one a line: path, recorded, now."""
    where: str = ""
    """``file:line in function`` of the program as it is now; empty when no line of it is to blame."""
    code_changes: list[str] = field(default_factory=list)
    """Files that changed since the recording, the probable cause."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def text(self) -> str:
        """For people."""
        where = f"step {self.step}" if self.step else "the run"
        at = f" at {self.path}" if self.path else ""
        lines = [f"{self.kind} in {where}{at}: {self.message}"]
        lines += [f"  {change}" for change in self.changes]
        if self.code_changes:
            lines.append(f"  changed since the recording: {', '.join(self.code_changes)}")
        return "\n".join(lines)


class Diverged(BaseException):
    """Ends the agent's code. No Exception, because agents catch those and try again."""

    ends_replay = True
    """No guard of the SDK keeps it in."""

    def __init__(self, divergence: Divergence) -> None:
        super().__init__(divergence.text())
        self.divergence = divergence


def no_turn(turn: Turn | None, waiting: list[tuple[str, TurnKind]], step: int) -> Divergence:
    """Threads do not take turns as recorded."""
    found = Divergence("STALLED", "", step, turn.name if turn is not None else "")
    who = ", ".join(f"{name or 'the run itself'} for its {kind}" for name, kind in waiting[:3])
    if turn is None:
        found.message = f"the recording has no more turns of threads, and {who} waits."
        return found
    name = turn.name or "the run itself"
    found.message = f"it is the turn of {name}, for its {turn.kind}, which does not come."
    if any(name == turn.name for name, _ in waiting):
        found.kind = "ORDER_CHANGED"
        found.message = f"threads wait for other things: recorded is {name}, for its {turn.kind}."
    found.message += f" Waiting: {who or 'nobody'}."
    now = {name.partition("#")[0] for name, kind in waiting if kind == "begin"}
    was = turn.name.partition("#")[0]
    if turn.kind == "begin" and len(now) == 1 and "" not in now and was and was not in now:
        # Arguments are compared at the call, so this is a guess.
        (new,) = now
        found.message += f' If {new} is {was}, renamed, say aliases="{was}" in its decorator.'
    return found


@dataclass(frozen=True, slots=True)
class Change:
    """One place where two trees differ."""

    sign: str
    """``+`` only now, ``-`` only recorded, ``~`` another value."""
    path: str
    old: Any = None
    new: Any = None

    def text(self) -> str:
        """One line."""
        if self.sign == "~":
            return f"~ {self.path}: {shown(self.old)} -> {shown(self.new)}"
        return f"{self.sign} {self.path}: {shown(self.old if self.sign == '-' else self.new)}"


def changes_between(recorded: Any, now: Any) -> list[str]:
    """Where two trees of JSON types differ, a line each, with their paths; at most twenty."""
    found = differences(recorded, now)
    lines = [change.text() for change in found[:_CHANGES_LIMIT]]
    if len(found) > _CHANGES_LIMIT:
        lines.append(f"... and {len(found) - _CHANGES_LIMIT} more")
    return lines


def differences(recorded: Any, now: Any) -> list[Change]:
    """Where two trees of JSON types differ; some two hundred places at most."""
    found: list[Change] = []
    _compare("$", recorded, now, found)
    return found


def _compare(path: str, recorded: Any, now: Any, found: list[Change]) -> None:
    if same(recorded, now) or len(found) > 200:
        return
    if isinstance(recorded, dict) and isinstance(now, dict):
        for key in sorted(recorded.keys() ^ now.keys()):
            if key not in now:
                found.append(Change("-", f"{path}.{key}", recorded[key]))
            else:
                found.append(Change("+", f"{path}.{key}", None, now[key]))
        for key in recorded:
            if key in now:
                _compare(f"{path}.{key}", recorded[key], now[key], found)
    elif isinstance(recorded, list) and isinstance(now, list):
        _compare_lists(path, recorded, now, found)
    else:
        found.append(Change("~", path, recorded, now))


def _compare_lists(path: str, recorded: list[Any], now: list[Any], found: list[Change]) -> None:
    """Items that were inserted or dropped are told as such, so that the rest still lines up."""
    start = 0
    while start < min(len(recorded), len(now)) and same(recorded[start], now[start]):
        start += 1
    end = 0
    shorter = min(len(recorded), len(now)) - start
    while end < shorter and same(recorded[-1 - end], now[-1 - end]):
        end += 1
    old, new = recorded[start : len(recorded) - end], now[start : len(now) - end]
    for offset in range(max(len(old), len(new))):
        place = f"{path}[{start + offset}]"
        if offset >= len(new):
            found.append(Change("-", place, old[offset]))
        elif offset >= len(old):
            found.append(Change("+", place, None, new[offset]))
        else:
            _compare(place, old[offset], new[offset], found)


def same(one: Any, other: Any) -> bool:
    """Whether two trees are equal, in type too: 1, 1.0 and true are three things."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        kind = one.get("$")
        if kind == "opaque" and other.get("$") != kind:
            # Earlier versions knew fewer kinds; what was opaque is compared by its class.
            return bool(one.get("t") == class_id(other))
        one, other = _compared(one, kind), _compared(other, kind)
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return repr(one) == repr(other)
    return bool(one == other)


def _compared(tree: dict[str, Any], kind: Any) -> dict[str, Any]:
    """Without the private attributes of a model, which are its own business."""
    return {key: tree[key] for key in tree if key != "p"} if kind == "pydantic" else tree


def shown(tree: Any) -> str:
    """A tree as one short line."""
    text = json.dumps(tree, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
