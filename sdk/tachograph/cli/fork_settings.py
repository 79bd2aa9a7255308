"""What ``--set`` says, checked against the recording before anything happens and is paid."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tachograph.cli.problem import USAGE, Problem
from tachograph_schemas import tapes

if TYPE_CHECKING:
    from tachograph.replay._edits import Edit
    from tachograph.replay._recording import Recording

_STEP = re.compile("[0-9]{1,9}")


def settings_of(
    texts: Sequence[str], at: int, recording: Recording
) -> tuple[dict[str, Any], list[Edit]]:
    """Results by step, and other arguments for live steps; ``at`` is the first live one.

    Raises:
        Problem: one is malformed, or does not fit the recorded call.
    """
    from tachograph.replay._edits import EditError, parse

    results: dict[str, Any] = {}
    edits: list[Edit] = []
    for text in texts:
        try:
            edit = parse(text)
            if edit is not None:
                _check(edit, at, recording)
                edits.append(edit)
                continue
        except EditError as error:
            raise Problem(f"--set {text[:80]}: {error}", code=USAGE) from error
        step, value = _result(text)
        results[step] = value
    return results, edits


def _check(edit: Edit, at: int, recording: Recording) -> None:
    """Arguments of a step that is answered from the recording change nothing, and typing errors are cheap here alone."""
    from tachograph.replay._edits import EditError, applied

    if edit.step < at:
        raise EditError(
            f"step {edit.step} is answered from the recording; its arguments count with --at {edit.step} or earlier"
        )
    # Later steps need not be the ones that were recorded.
    recorded = recording.calls[at - 1] if edit.step == at <= len(recording.calls) else None
    is_plain = recorded is not None and '"$":' not in json.dumps(recorded.args)
    if recorded is not None and is_plain and isinstance(recorded.args, dict):
        applied(recorded.args, [edit])


def _result(text: str) -> tuple[str, Any]:
    place, equals, value = text.partition("=")
    step, dot, what = place.partition(".")
    if not (equals and dot and _STEP.fullmatch(step) and what == "result"):
        raise Problem(
            "--set takes STEP.result=JSON, STEP.args.NAME=JSON or STEP.messages[0].content=JSON (or +=),"
            f" not {text!r}.",
            code=USAGE,
        )
    try:
        if value.startswith("@"):
            value = Path(value[1:]).read_text(encoding="utf-8")
        return step, tapes.parsed(value.encode())
    except (OSError, ValueError) as error:
        raise Problem(f"--set {place}: {error}", code=USAGE) from error
