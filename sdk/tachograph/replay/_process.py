"""Replays in processes of their own: fenced in, with the recording's hash seed, and without the environment's keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tachograph.replay._recording import Recording, RecordingError

_SECRETS = ("KEY", "TOKEN", "SECRET", "PASSWORD")


def replayed(
    package: bytes, code: Path, entry: str = "", *, lenient: bool = False
) -> dict[str, Any]:
    """Replay a ``.tacho`` file and return the answer of the process; blocks until it is done.

    Returns:
        ``identical``, ``effects``, ``output``, ``divergence`` (None, or its fields), ``drifts`` and ``run_id``.

    Raises:
        RecordingError: the recording cannot be used, or its code cannot be found.
    """
    recording = Recording.from_bytes(package)
    seed = str(recording.run.get("env", {}).get("hash_seed", "random"))
    words = ["--code", str(code), *(["--lenient"] if lenient else [])]
    return _ask(package, words, entry, _without_keys(seed))


def continued(package: bytes, code: Path, entry: str, plan: dict[str, Any]) -> dict[str, Any]:
    """Go on live from a recording, in a process with this one's environment; blocks until it is done.

    Args:
        package: The ``.tacho`` file.
        code: The program's folder.
        entry: ``module:function``; empty for the recorded one.
        plan: ``live_from_step``, ``results`` (by step, as text of JSON), ``allow_writes``.

    Returns:
        ``run_id`` of the new run, ``outcome``, ``output``, ``from_tape``, ``error``.

    Raises:
        RecordingError: the recording cannot be used, or its code cannot be found.
    """
    words = ["--code", str(code), "--plan", json.dumps(plan)]
    return _ask(package, words, entry, dict(os.environ))


def _ask(
    package: bytes, words: list[str], entry: str, environment: dict[str, str]
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="tacho-") as folder:
        file = Path(folder) / "recording.tacho"
        file.write_bytes(package)
        process = subprocess.run(
            [sys.executable, "-m", "tachograph.replay", str(file), *words, "--entry", entry],
            env=environment,
            stdout=subprocess.PIPE,
            check=False,
        )
    try:
        answer: dict[str, Any] = json.loads(process.stdout)
    except ValueError:
        raise RecordingError(
            f"the process ended without an answer (exit code {process.returncode})"
        ) from None
    if "problem" in answer:
        raise RecordingError(answer["problem"])
    return answer


def _without_keys(hash_seed: str) -> dict[str, str]:
    """Our environment without keys, so that none can be used, and with the recording's hash seed."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not any(word in name.upper() for word in _SECRETS)
    }
    if hash_seed.isdigit():
        kept["PYTHONHASHSEED"] = hash_seed
    else:
        kept.pop("PYTHONHASHSEED", None)
    return kept
