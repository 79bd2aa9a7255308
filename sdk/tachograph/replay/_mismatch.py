"""Why a call has no answer in the recording: what is said of it, and whether something was renamed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from tachograph._renamed import former
from tachograph.replay._divergence import Divergence, DivergenceKind, changes_between, same
from tachograph.replay._place import Node
from tachograph.replay._recording import RecordedCall

Same = Callable[[RecordedCall, Any], bool]
"""Whether a recorded call has these arguments."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that the agent makes."""

    node: Node
    name: str
    kind: str
    tree: Any
    """Its arguments."""
    modules: Collection[str]
    """The program's, as far as the run has called functions of theirs."""


def is_called(name: str, recorded: str) -> bool:
    """Whether a recorded name is that of ``name``, or one that it had."""
    return recorded == name or recorded in former(name)


def mismatch(
    asked: Asked,
    waiting: list[RecordedCall],
    elsewhere: Iterable[RecordedCall],
    same_arguments: Same,
    shown: Any,
    step: int,
) -> Divergence:
    """What is said of a call that the recording does not have here.

    Args:
        asked: The call.
        waiting: The recorded calls of this place that were not made yet, the next one first.
        elsewhere: All recorded calls that were not made yet.
        same_arguments: Compares arguments.
        shown: The call's arguments, masked.
        step: Its number, when the recording has none for it.
    """
    name, text = asked.name, asked.node.text
    now = {"name": name, "arguments": shown}
    if not waiting:
        renamed = _renamed_elsewhere(asked, elsewhere, same_arguments)
        if renamed is not None:
            return renamed
        said = f"{name} is called here; the recording has no more calls at this place."
        return Divergence("EXTRA_CALL", said, step, text, name, None, now)
    expected, later = waiting[0], waiting[1:]
    before = {"name": expected.name, "arguments": expected.args}
    if any(is_called(name, call.name) and same_arguments(call, asked.tree) for call in later):
        kind: DivergenceKind = "ORDER_CHANGED"
        if not is_called(name, expected.name) and all(c.name != expected.name for c in later):
            kind = "MISSING_CALL"
        said = f"{name} is called here, before the recorded {expected.name}."
    elif is_called(name, expected.name):
        said = f"{name} is called with other arguments than recorded."
        found = Divergence("ARGS_CHANGED", said, expected.step, text, name, before, now)
        found.changes = changes_between(expected.args, shown)
        return found
    elif same(expected.args, asked.tree) and not any(is_called(name, c.name) for c in later):
        kind, said = "NAME_CHANGED", _said_of_rename(expected.name, name, asked.kind)
    else:
        kind, said = "EXTRA_CALL", f"{name} is called here; recorded is {expected.name}."
    return Divergence(kind, said, expected.step, text, name, before, now)


def _renamed_elsewhere(
    asked: Asked, elsewhere: Iterable[RecordedCall], same_arguments: Same
) -> Divergence | None:
    """The recorded call that this one is, but for one name on the way to it that the program has no more."""
    now = _labels(asked.node.text, asked.name)
    for call in elsewhere:
        pairs = _differing(_labels(call.path, call.name), now)
        if len(pairs) != 1 or not same_arguments(call, asked.tree):
            continue
        ((old, new),) = pairs
        if _is_there(asked.modules, old):
            continue
        # A request has the name of its address; the frames around it have decorators.
        said = _said_of_rename(old, new, asked.kind if new == asked.name else "")
        found = Divergence("NAME_CHANGED", said, call.step, asked.node.text, asked.name)
        found.expected = {"name": call.name, "arguments": call.args}
        found.actual = {"name": asked.name, "arguments": call.args}
        return found
    return None


def _labels(path: str, name: str) -> list[tuple[str, str]]:
    parts = [each.partition("#") for each in path.split("/") if each]
    return [(label, nth) for label, _, nth in parts] + [(name, "")]


def _differing(recorded: list[tuple[str, str]], now: list[tuple[str, str]]) -> set[tuple[str, str]]:
    if len(recorded) != len(now) or any(
        one[1] != other[1] for one, other in zip(recorded, now, strict=True)
    ):
        return set()
    return {(a, b) for (a, _), (b, _) in zip(recorded, now, strict=True) if a != b}


def _is_there(modules: Collection[str], label: str) -> bool:
    """Whether the program still has what ``label`` names. What is made inside of functions cannot be told."""
    return not modules or any(_names(sys.modules.get(each), label) for each in modules)


def _names(found: Any, label: str) -> bool:
    for part in label.split("."):
        if callable(found) and not isinstance(found, type):
            return True
        found = getattr(found, part, None)
        if found is None:
            return False
    return True


def _said_of_rename(old: str, new: str, kind: str) -> str:
    said = f"{old} is called {new} now."
    if kind == "http":
        return said
    within, _, last = old.rpartition(".")
    alias = last if within == new.rpartition(".")[0] else old
    return f'{said} If it is the same, say aliases="{alias}" in its decorator.'
