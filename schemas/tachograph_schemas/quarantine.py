"""The quarantine's files: what the collector writes and ``tacho doctor`` reads, also while no collector runs.

``TACHO_HOME/quarantine`` holds bodies that the engine cannot store, ``retry/`` in it those that are to be tried again.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DIRECTORY = "quarantine"
"""Under ``TACHO_HOME``."""
RETRY = "retry"
"""Under the quarantine: what the collector puts through again, at once or at its next start."""
BODY_SUFFIX = ".otlp.pb"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One body that was set aside."""

    path: Path
    """Its bytes; the facts are in the ``.json`` beside it."""
    bytes: int
    since_ns: int
    """When it was set aside."""

    @property
    def reason(self) -> str:
        """Why; empty when the facts are gone."""
        return str(facts_of(self.path).get("reason", ""))

    def delete(self) -> None:
        """Remove it for good."""
        self.path.unlink(missing_ok=True)
        facts_path(self.path).unlink(missing_ok=True)


def facts_path(body: Path) -> Path:
    """Where the facts of a body are."""
    return body.with_name(body.name.removesuffix(BODY_SUFFIX) + ".json")


def facts_of(body: Path) -> dict[str, Any]:
    """What is written about a body; empty when that cannot be read."""
    try:
        facts = json.loads(facts_path(body).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def found_in(directory: Path) -> list[Quarantined]:
    """The bodies in a directory, oldest first."""
    found = []
    with contextlib.suppress(OSError):
        for path in directory.glob(f"*{BODY_SUFFIX}"):
            # Another process may move it meanwhile.
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append(Quarantined(path, status.st_size, status.st_mtime_ns))
    return sorted(found, key=lambda body: (body.since_ns, body.path.name))


def move_back(directory: Path) -> int:
    """Move every body into ``retry/``; returns how many.

    Raises:
        OSError: they cannot be moved.
    """
    bodies = found_in(directory)
    retry = directory / RETRY
    if bodies:
        retry.mkdir(exist_ok=True, mode=0o700)
    for body in bodies:
        # The facts first: a body without them would be taken for traces of the default project.
        facts = facts_path(body.path)
        with contextlib.suppress(FileNotFoundError):
            facts.rename(retry / facts.name)
        body.path.rename(retry / body.path.name)
    return len(bodies)
