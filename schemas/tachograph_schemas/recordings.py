"""Recordings in storage: what replay reads, content by content.

Used by the collector, which writes, and by the command line. Every function blocks until the engine has answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

from clickhouse_connect.driver.client import Client

from tachograph_schemas.queries import DEFAULT_PROJECT, AmbiguousRunError, _sql

_COLUMNS = (
    *("project", "run_id", "received_at", "digest", "agent", "entrypoint", "outcome", "effects"),
    *("tape", "blobs"),
)


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
    """JSON texts by the hash of their content."""


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
    known = client.query(
        _sql("recording_stored"),
        parameters={
            "project": project,
            "run_id": recording.run_id,
            "digest": digest,
            "names": names,
        },
    ).result_rows[0]
    now = datetime.now(UTC)
    missing = [name for name in names if name not in set(known[1])]
    # Payloads first: a tape that is there has everything it refers to.
    if missing:
        client.insert(
            "blob_rows",
            [[project, name, now, recording.blobs[name]] for name in missing],
            column_names=["project", "name", "received_at", "content"],
        )
    if known[0]:
        return False
    row = [
        *(project, recording.run_id, now, digest, recording.agent, recording.entrypoint),
        *(recording.outcome, recording.effects, recording.tape.decode("ascii"), names),
    ]
    client.insert("recording_rows", [row], column_names=_COLUMNS)
    return True


def load(client: Client, run_id: str, project: str = DEFAULT_PROJECT) -> StoredRecording | None:
    """The recording of the run whose id starts with ``run_id``; None when there is none.

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
    blobs = client.query(
        _sql("recording_blobs"), parameters={"project": project, "names": list(names)}
    ).result_rows
    text = tape if isinstance(tape, bytes) else tape.encode("ascii")
    return StoredRecording(
        found, agent, entrypoint, outcome, int(effects), text, {row[0]: row[1] for row in blobs}
    )


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
