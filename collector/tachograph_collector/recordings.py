"""Recordings on their way into storage: checked, stored, synced, and only then acknowledged.

No write-ahead log here, for simplicity: a tape is sent when its run has ended, its sender keeps it until the answer,
and storing it again changes nothing. So the answer waits for the engine and, with the embedded one, for the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tachograph_collector.content import inflated
from tachograph_collector.errors import BadBodyError
from tachograph_collector.side_door import SideDoor
from tachograph_schemas import recordings, tape_package, tapes
from tachograph_schemas.recordings import StoredRecording

INFLATED_LIMIT_BYTES = 256 << 20
"""Of the recordings in one request together, unpacked."""
SEVERAL_LIMIT_BYTES = 64 << 20
"""Of several recordings in one body."""


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
        recording, _ = checked(body)
        if recording.run_id != run_id:
            raise BadBodyError(f"The recording is not of the run {run_id[:64]!r}.")
        return self._save([recording], project) == 1

    def save_several(self, body: bytes, encoding: str, project: str, prefix: bytes = b"") -> int:
        """Store the recordings of a body durably, all or none; how many were new.

        Args:
            body: As :func:`tapes.joined` makes it.
            encoding: One of :func:`content.encoding_of`.
            project: Whose they are.
            prefix: What the body was compressed against.

        Raises:
            BodyError: it is no body of recordings, is damaged, or unpacks to more than is allowed.
            NotNowError: the engine is not open, or busy.
            StoreError: the engine refuses it.
        """
        if prefix or encoding != "identity":
            # No memory is claimed: the API holds few bodies at a time.
            body = inflated(body, encoding, SEVERAL_LIMIT_BYTES, lambda _: None, prefix)
        try:
            parts = tapes.parted(body)
        except tapes.PackageError as error:
            raise BadBodyError(f"This is no body of recordings: {error}") from error
        found: list[StoredRecording] = []
        left_bytes = INFLATED_LIMIT_BYTES
        for one in parts:
            # Packages may unpack to a thousand times their size.
            recording, size_bytes = checked(one, left_bytes)
            found.append(recording)
            left_bytes -= size_bytes
        return self._save(found, project)

    def _save(self, found: Sequence[StoredRecording], project: str) -> int:
        with self._engine.client() as client:
            added = sum(recordings.save(client, recording, project) for recording in found)
            if added:
                # The sender forgets the tapes on our answer.
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
            return None if found is None else tapes.zipped(found.tape, found.blobs)


def checked(body: bytes, limit_bytes: int = INFLATED_LIMIT_BYTES) -> tuple[StoredRecording, int]:
    """What a package or a journal says of itself, everything in it verified, and its bytes unpacked.

    Raises:
        BadBodyError: it is damaged, too large, or does not say which run it is of.
    """
    try:
        package = tape_package.checked(body, limit_bytes)
    except tapes.PackageError as error:
        raise BadBodyError(f"This is no recording: {error}") from error
    first = package.first
    run_id = first.get("run_id")
    if first.get("t") != "run" or not isinstance(run_id, str) or not 0 < len(run_id) <= 200:
        raise BadBodyError("The recording does not say which run it is of.")
    if _storable(run_id) != run_id:
        raise BadBodyError("The id of the recording's run is no text.")
    found = StoredRecording(
        run_id,
        _storable(first.get("agent", ""))[:200],
        _storable(first.get("entry", ""))[:500],
        _storable(package.end.get("o", ""))[:20],
        package.effects,
        package.tape,
        package.blobs,
    )
    return found, package.size_bytes


def _storable(value: Any) -> str:
    """JSON can write halves of characters, which no table takes."""
    return str(value).encode("utf-8", "replace").decode("utf-8")
