"""Where the running collector of this machine is: ``$TACHO_HOME/instance.json``.

The collector writes the file when it is ready and removes it when it stops; the command line and the
dashboard read it. It holds the gateway's token, so only its owner may read it (mode 0600).
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

FILE_NAME = "instance.json"


@dataclass(frozen=True, slots=True)
class Instance:
    """A running collector."""

    pid: int
    collector: str
    """URL of OTLP/HTTP and the control API."""
    grpc: str | None
    """``HOST:PORT``."""
    gateway: str
    """DSN with its token; empty when the storage is a ClickHouse server."""
    dashboard: str | None
    """URL."""
    started_at: str
    """ISO 8601."""


def path(home: Path) -> Path:
    """Where the file is, whether it exists or not."""
    return home / FILE_NAME


def read_instance(home: Path) -> Instance | None:
    """The collector that runs with this home; ``None`` when there is none or its process is gone.

    A file that cannot be read or understood counts as none: it may be of another version, and the
    collector replaces it when it starts.
    """
    try:
        given = json.loads(path(home).read_text(encoding="utf-8"))
        found = Instance(**{field.name: given[field.name] for field in fields(Instance)})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if _well_formed(found) and _is_alive(found.pid) else None


def write_instance(home: Path, instance: Instance) -> Path:
    """Announce a running collector, atomically: a reader sees the old file or the new one.

    Raises:
        OSError: the home does not exist or cannot be written.
    """
    import tempfile  # the collector's only; agents read what it wrote

    target = path(home)
    handle, temporary = tempfile.mkstemp(dir=home, prefix=f".{FILE_NAME}.")
    try:
        # mkstemp makes the file 0600, so the token is never readable by others, not even for a moment.
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(instance), file, indent=2)
            file.write("\n")
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    return target


def remove_instance(home: Path, pid: int | None = None) -> None:
    """Take the announcement back; of another process (``pid`` differs) it is left alone."""
    target = path(home)
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        announced: Any = json.loads(target.read_text(encoding="utf-8")).get("pid")
        if pid is not None and announced != pid:
            return
    with contextlib.suppress(OSError):
        target.unlink()


def _well_formed(instance: Instance) -> bool:
    texts = (instance.collector, instance.gateway, instance.started_at)
    optional = (instance.grpc, instance.dashboard)
    return (
        isinstance(instance.pid, int)
        and instance.pid > 0
        and all(isinstance(text, str) for text in texts)
        and all(text is None or isinstance(text, str) for text in optional)
    )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
