"""Recordings on their way into storage: checked, stored, synced, and only then acknowledged.

No write-ahead log here, for simplicity: a tape is sent when its run has ended, its sender keeps it until the answer,
and storing it again changes nothing. So the answer waits for the engine and, with the embedded one, for the disk.
"""

from __future__ import annotations

from tachograph_collector.errors import BadBodyError
from tachograph_collector.side_door import SideDoor
from tachograph_schemas import recordings, tapes
from tachograph_schemas.recordings import StoredRecording

INFLATED_LIMIT_BYTES = 256 << 20


class RecordingStore:
    """Reads and writes recordings, one at a time. Methods block; call them off the event loop."""

    def __init__(self, engine: SideDoor) -> None:
        self._engine = engine

    def save(self, run_id: str, body: bytes, project: str) -> bool:
        """Store a package durably; whether it was new.

        Raises:
            BadBodyError: it is no recording of that run.
            NotNowError: the engine is not open, or busy.
            StoreError: the engine refuses it.
        """
        recording = checked(run_id, body)
        with self._engine.client() as client:
            added = recordings.save(client, recording, project)
            if added:
                # The sender forgets the tape on our answer.
                self._engine.sync()
        return added

    def load(self, run_id: str, project: str) -> bytes | None:
        """The package of a run by the beginning of its id; None when it is not stored.

        Raises:
            AmbiguousRunError: several begin so.
            NotNowError: the engine is not open, or busy.
            StoreError: the engine refuses.
        """
        with self._engine.client() as client:
            found = recordings.load(client, run_id, project)
        return None if found is None else tapes.zipped(found.tape, dict(found.blobs))


def checked(run_id: str, body: bytes) -> StoredRecording:
    """What a package says of itself, everything in it verified.

    Raises:
        BadBodyError: it is damaged, too large, or the recording of another run.
    """
    try:
        records, blobs, texts = tapes.opened(body, INFLATED_LIMIT_BYTES)
    except tapes.PackageError as error:
        raise BadBodyError(f"This is no recording: {error}") from error
    first = records[0] if records else {}
    if first.get("t") != "run" or first.get("run_id") != run_id:
        raise BadBodyError(f"The recording is not of the run {run_id[:64]!r}.")
    ends = [record for record in records if record.get("t") == "end"]
    return StoredRecording(
        run_id,
        str(first.get("agent", ""))[:200],
        str(first.get("entry", ""))[:500],
        str(ends[-1].get("o", ""))[:20] if ends else "",
        sum(record.get("t") == "call" for record in records),
        texts[tapes.TAPE_MEMBER],
        {name: texts[f"blobs/{name}.json"].decode("ascii") for name in blobs},
    )
