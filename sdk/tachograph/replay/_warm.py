"""Processes that have the libraries imported already and fork for each replay: importing a model client takes seconds.

Nothing of the program is imported before the fork, so a forked replay is as fresh as one in a process of its own; the fence
goes up after it. A process serves one hash seed, one replay at a time. Both sides are here: :class:`Warm` asks with a line
of JSON, :func:`serve` answers with a line and what the replay has printed.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tachograph.replay._recording import Recording, RecordingError

HEAVY = frozenset(("anthropic", "openai", "httpx", "pydantic"))
"""Libraries that take long to import, and start nothing by it. Whatever a recording says, no other is imported."""


def libraries_for(recording: Recording, code: Path) -> tuple[str, ...]:
    """What to import beforehand: installed libraries that were hooked then, unless the program has its own of that name."""
    named = HEAVY.intersection(map(str, recording.run.get("instruments") or ()))
    own = {name for name in named if (code / name).exists() or (code / f"{name}.py").exists()}
    return tuple(sorted(named - own))


class Warm:
    """One such process, as who uses it sees it. Asked by one thread at a time; :meth:`end` is safe from others."""

    def __init__(
        self, key: tuple[Any, ...], libraries: Iterable[str], environment: dict[str, str]
    ) -> None:
        """``key`` says which replays it may do: those with the same hash seed and libraries."""
        self.key = key
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tachograph.replay", "--serve", *libraries],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Its replays end with it, and Ctrl-C is ours to hear.
            start_new_session=True,
        )

    def ask(
        self, words: list[str], environment: dict[str, str], timeout_s: float
    ) -> tuple[int, bytes]:
        """The exit code and the output of one replay.

        Raises:
            RecordingError: it took too long, or the process has ended.
        """
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self.end()

        timer = threading.Timer(timeout_s, give_up)
        timer.start()
        try:
            return self._asked({"words": words, "environment": environment})
        except (OSError, ValueError) as error:
            if late.is_set():
                raise RecordingError(f"it took longer than {timeout_s:g} seconds") from None
            raise RecordingError("the process of the replay ended without an answer") from error
        finally:
            timer.cancel()

    def _asked(self, request: dict[str, Any]) -> tuple[int, bytes]:
        given, answers = self._process.stdin, self._process.stdout
        if given is None or answers is None:
            raise ValueError("no pipes")
        given.write(json.dumps(request).encode() + b"\n")
        given.flush()
        head = json.loads(answers.readline())
        out = answers.read(head["bytes"])
        if len(out) != head["bytes"]:
            raise ValueError("a torn answer")
        return head["code"], out

    def end(self) -> None:
        """Kill it with what it has under way, and wait for that."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """:meth:`end`, and give its pipes back."""
        self.end()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()


def serve(libraries: list[str], perform: Callable[[list[str]], object]) -> None:
    """Fork for each line of standard input, until it ends. ``perform`` replays by the words of a command line."""
    for name in libraries:
        if name in HEAVY:
            with suppress(ImportError):
                importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "wb")
    # What libraries print is no answer.
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            answers.close()
            os.close(out)
            _be_fresh(request["environment"], into)
            perform(request["words"])
            os._exit(0)
        os.close(into)
        with os.fdopen(out, "rb") as stream:
            said = stream.read()
        _, status = os.waitpid(child, 0)
        head = {"code": os.waitstatus_to_exitcode(status), "bytes": len(said)}
        answers.write(json.dumps(head).encode() + b"\n" + said)
        answers.flush()


def _be_fresh(environment: dict[str, str], into: int) -> None:
    """In the fork: streams and environment as a process of its own would have them."""
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    os.dup2(into, 1)
    os.close(into)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
