"""What is another one around a replay than it was around the recording: environment, hash seed, version of Python.

None of it makes a replay differ by itself: recorded readings win, and recordings go from one version of Python to another.
It is said because the program would do something else live, or because it is the likely cause of a difference.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from typing import Any

from tachograph import _masks
from tachograph.replay._divergence import Divergence, same, shown
from tachograph.replay._here import marks
from tachograph.replay._recording import Recording
from tachograph.replay._session import masking

_VARIABLE = "os.environ["
_MASK = "[redacted:"


def notes(
    recording: Recording, found: Divergence | None, environment: Mapping[str, str] = os.environ
) -> list[str]:
    """Sentences for the reader of a report; none when there is nothing to know."""
    said = [
        f"{name} is another one now than when this was recorded: {change}. The replay used the recorded one."
        for name, change in _variables(recording, environment)
    ]
    if recording.overtakings:
        said.append(
            "It was not replayed in the recorded order but in the one that was saved with it, to show a race."
        )
    if found is None:
        return said
    then = recording.run.get("env", {})
    if then.get("hash_seed") == "random" and _is_another_order(found):
        said.append(
            "Only the order is another one, and the order of sets of strings changes from process to process."
            " If a set is behind it, sort it, or record with `tacho record -- COMMAND`: its replays have the same order."
        )
    version = str(then.get("python", ""))
    if version and version.split(".")[:2] != platform.python_version().split(".")[:2]:
        said.append(f"It was recorded in Python {version}; this is {platform.python_version()}.")
    return said


def _variables(recording: Recording, environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Variables that the agent read and that have another value now, and from what to what. Secrets stay masked."""
    has_our_marks = recording.code.get("marks") == marks()
    mask = masking(_masks.redactor())
    found: dict[str, str] = {}
    for (_, reading), values in recording.reads.items():
        if not (reading.startswith(_VARIABLE) and values):
            continue
        name = reading[len(_VARIABLE) : -1]
        then, now = values[0], environment.get(name)
        masked = json.loads(mask(json.dumps({name: now}))).get(name)
        hidden = str(then).startswith(_MASK) or masked != now
        if same(_mark(then), _mark(masked)) or (hidden and not has_our_marks):
            continue  # or nobody can tell, on another machine than the recording's
        found[name] = "a secret" if hidden else f"{_said(then)} -> {_said(now)}"
    return sorted(found.items())


def _mark(value: Any) -> Any:
    """A mask by its mark alone: one secret may be a password in one place and a key in another."""
    return value.rpartition(":")[2] if isinstance(value, str) and value.startswith(_MASK) else value


def _said(value: Any) -> str:
    return "not set" if value is None else shown(value)


def _is_another_order(found: Divergence) -> bool:
    """Whether the two sides have the same parts."""
    if found.kind == "ORDER_CHANGED":
        return True
    if found.expected is None or found.actual is None or same(found.expected, found.actual):
        return False
    return _parts(found.expected) == _parts(found.actual)


def _parts(tree: Any) -> list[str]:
    if isinstance(tree, str):
        return sorted(tree.replace(",", " ").split())
    if isinstance(tree, dict):
        return sorted(f"{key} {_parts(value)}" for key, value in tree.items())
    if isinstance(tree, list):
        return sorted(str(_parts(value)) for value in tree)
    return [repr(tree)]
