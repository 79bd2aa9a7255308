"""Where a recording is: a file, this machine's own tapes, or the storage."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from tachograph.cli.connection import reading, settings
from tachograph.cli.problem import ANSWER_IS_NO, USAGE, Problem
from tachograph_schemas import tapes
from tachograph_schemas.settings import home

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_PATIENCE_S = 5.0
_PAUSE_S = 0.1


def package_of(named: str) -> bytes:
    """The ``.tacho`` file of a run by its id, the beginning of it, or ``last``, or of a path.

    Raises:
        Problem: there is none, several begin like this, or the storage cannot be reached.
    """
    path = Path(named)
    if path.suffix in {".tacho", ".tape"} or path.is_file():
        return _from_file(path)
    kept = _kept_here(named)
    if kept is not None:
        return kept
    with reading() as client:
        return _stored(client, named)


def _from_file(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            # A pipe would be waited for, a device read without end.
            raise Problem(f"{path} cannot be read: it is no file", code=ANSWER_IS_NO)
        if path.stat().st_size > tapes.LIMIT_BYTES:
            raise Problem(f"{path} is larger than any recording", code=ANSWER_IS_NO)
        data = path.read_bytes()
        return data if data[:2] == b"PK" else tapes.pack(data)
    except (OSError, tapes.PackageError) as error:
        said = getattr(error, "strerror", None) or error
        raise Problem(f"{path} cannot be read: {said}.", code=ANSWER_IS_NO) from error


def _kept_here(run_id: str) -> bytes | None:
    """A recording that the collector does not have yet."""
    if not run_id.isalnum() or run_id == "last":
        return None
    folder = home(settings()["home"]) / "tapes"
    found = [*folder.glob(f"{run_id}*.tacho"), *folder.glob(f"{run_id}*.tape")]
    if len({path.name.partition(".")[0] for path in found}) != 1:
        return None
    # A run that was taken up has one for each attempt.
    return _from_file(max(found, key=lambda path: path.stat().st_mtime_ns))


def _stored(client: Client, named: str) -> bytes:
    from tachograph_schemas import queries, recordings

    run_id = recordings.last(client) if named == "last" else named.strip()
    if not run_id:
        raise Problem("No runs are recorded yet; `tacho demo` records some.", code=ANSWER_IS_NO)
    deadline = time.monotonic() + _PATIENCE_S
    try:
        found = recordings.load(client, run_id)
        while found is None and queries.run(client, run_id) and time.monotonic() < deadline:
            # Spans come at once, the tape when the run has ended.
            time.sleep(_PAUSE_S)
            found = recordings.load(client, run_id)
    except queries.AmbiguousRunError as error:
        raise Problem(str(error), code=USAGE) from error
    if found is None:
        raise Problem(
            f"There is no recording of a run {named!r}. It may have been made with TACHO_RECORD=off, or be older "
            "than TACHO_RETENTION_DAYS; a run under way has one when it ends.",
            code=ANSWER_IS_NO,
        )
    return tapes.zipped(found.tape, found.blobs)
