"""Replays in processes of their own: fenced in, with the recording's hash seed, and without the environment's keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from tachograph.replay._recording import Recording, RecordingError
from tachograph.replay._warm import Warm, libraries_for

_IDLE_LIMIT = 8
"""Processes that are kept for the next replay; recordings with drawn hash seeds need one each."""
_SECRETS = ("KEY", "TOKEN", "SECRET", "PASSWORD")


class Processes:
    """The replays that are under way in this process, so that they can be ended. Safe between threads."""

    def __init__(self, timeout_s: float) -> None:
        """``timeout_s``: how long each may take."""
        self.timeout_s = timeout_s
        self._running: set[subprocess.Popen[bytes]] = set()
        self._warm: set[Warm] = set()
        self._idle: list[Warm] = []
        self._lock = threading.Lock()
        self._ended = False

    def replay(
        self, words: list[str], environment: dict[str, str], libraries: tuple[str, ...]
    ) -> tuple[int, bytes]:
        """The exit code and the output of one of many replays, forked where the libraries are imported already.

        Raises:
            RecordingError: it took too long, or was ended.
        """
        warm = self._taken((environment.get("PYTHONHASHSEED"), libraries), libraries, environment)
        try:
            answer = warm.ask(words, environment, self.timeout_s)
        except BaseException:
            with self._lock:
                self._warm.discard(warm)
            warm.close()
            raise
        with self._lock:
            self._idle.append(warm)
            left = self._idle.pop(0) if len(self._idle) > _IDLE_LIMIT else None
            if left is not None:
                self._warm.discard(left)
        if left is not None:
            left.close()
        return answer

    def _taken(
        self, key: tuple[Any, ...], libraries: tuple[str, ...], environment: dict[str, str]
    ) -> Warm:
        with self._lock:
            if self._ended:
                raise RecordingError("it was interrupted")
            for warm in self._idle:
                if warm.key == key:
                    self._idle.remove(warm)
                    return warm
            made = Warm(key, libraries, environment)
            self._warm.add(made)
            return made

    def run(self, words: list[str], environment: dict[str, str]) -> tuple[int, bytes]:
        """The exit code and the output of a process that says nothing to anyone else.

        Raises:
            RecordingError: it took too long, or was ended.
        """
        with self._lock:
            if self._ended:
                raise RecordingError("it was interrupted")
            process = subprocess.Popen(
                words,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # Ctrl-C is ours to hear, and ours to pass on.
                start_new_session=True,
            )
            self._running.add(process)
        try:
            out, _ = process.communicate(timeout=self.timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise RecordingError(f"it took longer than {self.timeout_s:g} seconds") from None
        finally:
            with self._lock:
                self._running.discard(process)
        return process.returncode, out

    def end(self) -> None:
        """Kill what runs, and start nothing any more."""
        with self._lock:
            self._ended = True
            for process in self._running:
                process.kill()
            warm, idle = set(self._warm), list(self._idle)
            self._idle.clear()
        for each in warm:
            # Whoever waits for one that is busy closes it.
            each.close() if each in idle else each.end()


def replayed(
    package: bytes,
    code: Path,
    entry: str = "",
    *,
    lenient: bool = False,
    among: Processes | None = None,
) -> dict[str, Any]:
    """Replay a ``.tacho`` file and return the answer of the process; blocks until it is done.

    With ``among`` the process is one of many: silent, and ended when they are.

    Returns:
        ``identical``, ``effects``, ``output``, ``divergence`` (None, or its fields), ``drifts`` and ``run_id``.

    Raises:
        RecordingError: the recording cannot be used, or its code cannot be found.
    """
    recording = Recording.from_bytes(package)
    seed = str(recording.run.get("env", {}).get("hash_seed", "random"))
    words = ["--code", str(code), *(["--lenient"] if lenient else [])]
    libraries = None if among is None else libraries_for(recording, code)
    return _ask(package, words, entry, _without_keys(seed), among, libraries)


def explored(package: bytes, code: Path, entry: str, orders: int) -> dict[str, Any]:
    """Replay in other legal orders, fenced in as a replay is; blocks until it is done.

    Returns:
        ``orders``: how many different ones were tried; ``found``: those in which the agent does something else, each
        with its ``seed``, the ``order`` of steps, and the ``divergence``.

    Raises:
        RecordingError: the recording cannot be used, its agent polls, or its code cannot be found.
    """
    recording = Recording.from_bytes(package)
    seed = str(recording.run.get("env", {}).get("hash_seed", "random"))
    words = ["--code", str(code), "--orders", str(orders)]
    return _ask(package, words, entry, _without_keys(seed))


def continued(
    package: bytes,
    code: Path,
    entry: str,
    plan: dict[str, Any],
    among: Processes | None = None,
    environment: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Go on live from a recording, in a process with this one's environment; blocks until it is done.

    With ``among`` the process is one of many: silent, and ended when they are.

    Args:
        package: The ``.tacho`` file.
        code: The program's folder.
        entry: ``module:function``; empty for the recorded one.
        plan: ``live_from_step``, ``results`` (by step, as text of JSON), ``edits`` (see
            :mod:`._edits`), ``allow_writes``, ``model``,
            ``tools_from_tape``.
        among: The processes it is one of.
        environment: Another one than this process's.

    Returns:
        ``run_id`` of the new run, ``outcome``, ``output``, ``error``, ``took_s``, ``denied``: effects that would
        have changed the world, and ``unreached``: places of what the plan sets that the run did not come to.

    Raises:
        RecordingError: the recording cannot be used, or its code cannot be found.
    """
    words = ["--code", str(code), "--plan", json.dumps(plan)]
    around = dict(os.environ) if environment is None else environment
    return _ask(package, words, entry, around, among)


def _ask(
    package: bytes,
    words: list[str],
    entry: str,
    environment: dict[str, str],
    among: Processes | None = None,
    libraries: tuple[str, ...] | None = None,
) -> dict[str, Any]:
    """``libraries``: what a process that forks for it has imported; None: it has one of its own."""
    with tempfile.TemporaryDirectory(prefix="tacho-") as folder:
        file = Path(folder) / "recording.tacho"
        file.write_bytes(package)
        if "--plan" not in words:
            # What a killed replay leaves behind goes with this folder.
            words = [*words, "--temporary", tempfile.gettempdir()]
            environment = environment | {"TMPDIR": folder}
        words = [str(file), *words, "--entry", entry]
        command = [sys.executable, "-m", "tachograph.replay", *words]
        if among is not None and libraries is not None:
            code, out = among.replay(words, environment, libraries)
        elif among is not None:
            code, out = among.run(command, environment)
        else:
            process = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
            code, out = process.returncode, process.stdout
    try:
        answer: dict[str, Any] = json.loads(out)
    except ValueError:
        raise RecordingError(f"the process ended without an answer (exit code {code})") from None
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
