"""Recordings in storage: what replay reads, content by content.

Used by the collector, which writes, and by the command line. Every function blocks until the engine has answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from clickhouse_connect.driver.client import Client

from tachograph_schemas.queries import DEFAULT_PROJECT, AmbiguousRunError, _sql

_COLUMNS = (
    *("project", "run_id", "received_at", "digest", "agent", "entrypoint", "outcome", "effects"),
    *("tape", "blobs"),
)
_BLOB_COLUMNS = ("project", "name", "received_at", "content")
_TOGETHER_BYTES = 8 << 20
"""Payloads that are written or read together: the engine holds them several times over meanwhile."""
_NAMES_TOGETHER = 5_000
"""Names in one question: a server takes them in the address, of which it reads a megabyte."""


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """One run's tape with its payloads."""

    run_id: str
    agent: str
    entrypoint: str
    outcome: str
    """``ok``, ``err`` or ``cancel``; empty when the tape has no end."""
    effects: int
    tape: bytes
    """JSON lines, each with its checksum."""
    blobs: Mapping[str, str]
    """JSON texts by the hash of their content. Each is read when it is asked for, as all of them may be large."""


@dataclass(frozen=True, slots=True)
class RecordingState:
    """What is known of a recording without reading it."""

    run_id: str
    agent: str
    entrypoint: str
    outcome: str
    """``ok``, ``err`` or ``cancel``; empty when the tape has no end."""
    effects: int
    received_at: datetime
    tape_bytes: int
    """Without the payloads that are stored apart."""
    limits: str = ""
    """``light`` or ``cut``: why it cannot be replayed. Known of a run that was asked for alone."""


def save(client: Client, recording: StoredRecording, project: str = DEFAULT_PROJECT) -> bool:
    """Store a recording; one that is stored already is not stored again.

    Returns:
        Whether rows were added.

    Raises:
        StoreError: the engine refuses.
    """
    digest = blake2b(recording.tape, digest_size=16).hexdigest()
    names = list(recording.blobs)
    about = {"project": project, "run_id": recording.run_id, "digest": digest}
    is_known, known = False, set[str]()
    # Once without names too: whether the tape is there is asked with them.
    for some in _parts(names) or [[]]:
        query = client.query(_sql("recording_stored"), parameters={**about, "names": some})
        [(tapes, stored)] = query.result_rows
        is_known = bool(tapes)
        known.update(stored)
    now = datetime.now(UTC)
    missing = [name for name in names if name not in known]
    # Payloads first: a tape that is there has everything it refers to.
    rows: list[list[object]] = []
    size_bytes = 0
    for name in missing:
        content = recording.blobs[name]
        if rows and size_bytes + len(content) > _TOGETHER_BYTES:
            client.insert("blob_rows", rows, column_names=_BLOB_COLUMNS)
            rows, size_bytes = [], 0
        rows.append([project, name, now, content])
        size_bytes += len(content)
    if rows:
        client.insert("blob_rows", rows, column_names=_BLOB_COLUMNS)
    if is_known:
        return False
    row = [
        *(project, recording.run_id, now, digest, recording.agent, recording.entrypoint),
        *(recording.outcome, recording.effects, recording.tape, names),
    ]
    client.insert("recording_rows", [row], column_names=_COLUMNS)
    return True


def load(client: Client, run_id: str, project: str = DEFAULT_PROJECT) -> StoredRecording | None:
    """The recording of the run whose id starts with ``run_id``; None when there is none.

    Its payloads are read when they are asked for, as long as ``client`` is open.

    Raises:
        AmbiguousRunError: several runs start so.
        StoreError: the engine refuses.
    """
    rows = client.query(
        _sql("recording"), parameters={"project": project, "run_id": run_id}
    ).result_rows
    if not rows:
        return None
    if len(rows) > 1 and rows[0][0] != run_id:
        raise AmbiguousRunError(
            f"Several recordings start with {run_id!r}, {rows[0][0]} and {rows[1][0]} among them. Give"
            " more of the id."
        )
    found, agent, entrypoint, outcome, effects, tape, names = rows[0]
    text = tape if isinstance(tape, bytes) else tape.encode("ascii")
    blobs = _StoredBlobs(client, project, list(names))
    return StoredRecording(found, agent, entrypoint, outcome, int(effects), text, blobs)


def _parts(names: list[str]) -> list[list[str]]:
    return [names[at : at + _NAMES_TOGETHER] for at in range(0, len(names), _NAMES_TOGETHER)]


class _StoredBlobs(Mapping[str, str]):
    """Payloads in storage, read as many at a time as fit together; quick for whoever takes them in order."""

    def __init__(self, client: Client, project: str, names: list[str]) -> None:
        self._client = client
        self._project = project
        rows = [row for some in _parts(names) for row in self._asked("recording_sizes", some)]
        self._sizes: dict[str, int] = {row[0]: int(row[1]) for row in sorted(map(tuple, rows))}
        self._read: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        if name not in self._sizes:
            raise KeyError(name)
        if name not in self._read:
            self._read = {}  # before the next ones come
            rows = self._asked("recording_blobs", self._following(name))
            self._read = {row[0]: row[1] for row in rows}
        return self._read[name]

    def _asked(self, query: str, names: list[str]) -> Sequence[Sequence[Any]]:
        parameters = {"project": self._project, "names": names}
        return self._client.query(_sql(query), parameters=parameters).result_rows

    def _following(self, name: str) -> list[str]:
        found, left_bytes = [name], _TOGETHER_BYTES - self._sizes[name]
        for each, size_bytes in self._sizes.items():
            if each <= name:
                continue
            left_bytes -= size_bytes
            if left_bytes < 0 or len(found) == _NAMES_TOGETHER:
                break
            found.append(each)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)


def last(client: Client, project: str = DEFAULT_PROJECT) -> str | None:
    """The id of the newest recorded run; None when there is none.

    Raises:
        StoreError: the engine refuses.
    """
    rows = client.query(_sql("recording_last"), parameters={"project": project}).result_rows
    return str(rows[0][0]) if rows else None


def since(
    client: Client,
    at: datetime,
    agent: str = "",
    most: int = 10_000,
    project: str = DEFAULT_PROJECT,
) -> list[RecordingState]:
    """The runs recorded since ``at``, the newest first, ``most`` at most; of one agent, or of all.

    Raises:
        StoreError: the engine refuses.
    """
    parameters = {"project": project, "since": at, "agent": agent, "most": most}
    rows = client.query(_sql("recordings_since"), parameters=parameters).result_rows
    return [RecordingState(*row) for row in rows]


def state(client: Client, run_id: str, project: str = DEFAULT_PROJECT) -> RecordingState | None:
    """What is known of the recording of a run; None when there is none.

    Raises:
        StoreError: the engine refuses.
    """
    parameters = {"project": project, "run_id": run_id}
    rows = client.query(_sql("recording_state"), parameters=parameters).result_rows
    return RecordingState(*rows[0]) if rows else None
