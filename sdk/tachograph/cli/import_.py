"""``tacho import FILE``: a run from another machine, into this storage."""

from __future__ import annotations

import argparse
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from tachograph.cli.connection import settings
from tachograph.cli.control_api import client
from tachograph.cli.problem import ANSWER_IS_NO, UNREACHABLE, Problem
from tachograph.cli.recordings import package_of
from tachograph.cli.replay import recording_of
from tachograph.cli.spans_file import is_known, requests_in
from tachograph_schemas import tapes, words
from tachograph_schemas.settings import home
from tachograph_schemas.words import plain

if TYPE_CHECKING:
    from tachograph_schemas.control import Answer
    from tachograph_schemas.control_client import ControlClient

_TIMEOUT_S = 60.0
_TRACES = "/v1/traces"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "import",
        help="store the run that a file has",
        description="Give what `tacho export` wrote to the collector, so that the run has its page here, and can be "
        "replayed, forked and compared by its id. Importing it again changes nothing, but completes what was "
        "interrupted, and of a run that is known here no span is taken.",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="a .tacho file")
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Import; 1 when it is no recording, or is refused.

    Raises:
        Problem: see there; 3 when nobody answers.
    """
    given = package_of(str(arguments.file.absolute()))
    recording = recording_of(given)
    package, member = tapes.without_spans(given)
    # All of it is looked at before anything is sent.
    count = sum(count for _, count in requests_in(member, recording.run_id))
    to = client()
    answer = to.send_recording(recording.run_id, package, timeout_s=_TIMEOUT_S)
    _check(answer, arguments.file)
    said = "Imported" if answer.data.get("added") else "Known already:"
    effects = words.count(len(recording.calls), "effect")
    beside = ", no spans: the run has no page here"
    if count:
        is_sent = _send_spans(to, member, recording.run_id, arguments.file)
        beside = f", {words.count(count, 'span')}" if is_sent else ""
    print(plain(f"{said} {recording.run_id}, {effects}{beside}."))
    return 0


def _send_spans(to: ControlClient, member: bytes, run_id: str, file: Path) -> bool:
    """Send the spans, unless the run was known before; whether they were sent."""
    mark = _begun(to, member)
    # Of a known run nothing is taken: but this very file may have been interrupted when it made it known.
    if is_known(run_id) and not mark.exists():
        return False
    with suppress(OSError):
        mark.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        mark.touch()
    for body, _ in requests_in(member, run_id):
        _check(to.call("POST", _TRACES, body, timeout_s=_TIMEOUT_S), file)
    with suppress(OSError):
        mark.unlink(missing_ok=True)
    return True


def _begun(to: ControlClient, member: bytes) -> Path:
    """A file that is there from before the first of these spans is sent to that collector until after the last."""
    digest = blake2b(member, digest_size=16, key=to.identity.encode()).hexdigest()
    return home(settings()["home"]) / "imports" / digest


def _check(answer: Answer, file: Path) -> None:
    if not answer:
        code = UNREACHABLE if answer.may_change else ANSWER_IS_NO
        raise Problem(f"{file} was not imported: {answer.why}", code=code)
