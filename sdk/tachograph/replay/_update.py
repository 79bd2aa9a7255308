"""A recording made anew: its entrypoint runs live on the recorded arguments, and the file gets what came of it."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tachograph.replay._divergence import changes_between, same, shown
from tachograph.replay._process import continued
from tachograph.replay._recording import RecordedCall, Recording, RecordingError, load
from tachograph.replay._redacted import redacted

_NOWHERE = "http://127.0.0.1:9"
"""The recording is for the file, not for the collector of this machine."""


def made_anew(path: Path, code: Path, entry: str = "", *, allow_writes: bool = False) -> list[str]:
    """Record the run of a ``.tacho`` file once more, live, and put it in the place of the old one.

    Blocks until the run has ended. Models are asked and paid; effects that change the world happen only with
    ``allow_writes``, and without it the file stays as it is when there is one.

    Returns:
        What is different from the recording before, a line each; empty when nothing is.

    Raises:
        RecordingError: it cannot be run, or wanted to change the world; the file is as it was.
    """
    package = path.read_bytes()
    before = Recording.from_bytes(package)
    with tempfile.TemporaryDirectory(prefix="tacho-") as home:
        plan = {"live_from_step": 1, "results": {}, "allow_writes": allow_writes}
        answer = continued(package, code, entry, plan, environment=_environment(home, before))
        if answer["denied"]:
            raise RecordingError(
                f"{', '.join(answer['denied'])} changes the world, and was not called:"
                " --tacho-allow-writes lets it happen"
            )
        tape = only_tape(Path(home) / "tapes")
        if tape is None:
            raise RecordingError(
                f"the run made no recording: {answer['error'] or 'nothing is known'}"
            )
        after = load(tape)
    after.check_replayable()
    # For its readers it is a recording like any other, and no fork.
    after.records[0].pop("parent", None)
    beside = path.with_suffix(".new")
    beside.write_bytes(redacted(after))
    beside.replace(path)
    return list(_changes(before, after))


def only_tape(folder: Path) -> Path | None:
    """The one recording that a process has left; None when there is none, or several.

    Packed or not, or both, as processes end while they pack.
    """
    found = {each.stem: each for kind in ("*.tape", "*.tacho") for each in folder.glob(kind)}
    return found.popitem()[1] if len(found) == 1 else None


def _environment(home: str, recording: Recording) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    seed = str(recording.run.get("env", {}).get("hash_seed", ""))
    if seed.isdigit():
        kept["PYTHONHASHSEED"] = seed
    return kept | {"TACHO_HOME": home, "TACHO_ENDPOINT": _NOWHERE}


def _changes(before: Recording, after: Recording) -> Iterator[str]:
    """Calls that came, went, or have other arguments; then how many answers and which result differ."""
    old, new = ([f"{call.path}\t{call.name}" for call in each.calls] for each in (before, after))
    answers = 0
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if kind == "equal":
            for was, call in zip(before.calls[i1:i2], after.calls[j1:j2], strict=True):
                yield from _other_arguments(was, call)
                answers += not same(_answer(before, was), _answer(after, call))
            continue
        for call in before.calls[i1:i2]:
            yield f"- step {call.step} {call.name} {shown(call.args)}"
        for call in after.calls[j1:j2]:
            yield f"+ step {call.step} {call.name} {shown(call.args)}"
    if answers:
        yield f"  {answers} of {len(after.calls)} steps have other answers"
    for line in changes_between(before.end.get("v"), after.end.get("v")):
        yield f"  result: {line}"


def _other_arguments(was: RecordedCall, call: RecordedCall) -> Iterator[str]:
    for line in changes_between(was.args, call.args):
        yield f"  step {call.step} {call.name}: {line}"


def _answer(recording: Recording, call: RecordedCall) -> list[object]:
    """Every outcome of a call."""
    on_the_spot = [[each.kind, each.tree] for each in call.outcomes]
    later = [
        [each.outcome.kind, each.outcome.tree]
        for each in recording.deliveries
        if each.index == call.index
    ]
    return [*on_the_spot, *later]
