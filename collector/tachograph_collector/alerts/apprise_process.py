"""The process that sends through Apprise: started when it is needed, ended when it hangs or has nothing to do."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import IO
from urllib.parse import unquote

from tachograph_collector.alerts.network import Network
from tachograph_collector.alerts.webhook import UndeliveredError

_START_S = 30.0
"""It reads hundreds of modules: on a busy machine that has taken longer than any answer may."""
_ANSWER_S = 14.0
"""As many as are sent at once take their turns here, all within the lease of a notification."""
_TURN_S = _START_S + _ANSWER_S
"""One that hangs takes as long, with the process that is started for it; it is tried again later."""
_IDLE_S = 60.0


class AppriseProcess:
    """One process, one notification at a time. For any thread."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed
        self._process: subprocess.Popen[bytes] | None = None
        self._used_s = 0.0
        self._lock = threading.Lock()
        self._is_closed = False

    def send(self, url: str, title: str, body: str, kind: str) -> None:
        """Send one notification. Blocks while others have their turn, for 44 s at most, and for a quarter of a minute then; half
        a minute longer where the process has to be started.

        Raises:
            UndeliveredError: it was not taken.
        """
        job = {"url": url, "title": title, "body": body, "type": kind}
        if not self._lock.acquire(timeout=_TURN_S):
            raise UndeliveredError("others that were to be sent before it took all the time")
        try:
            answer = self._asked(job)
            self._used_s = time.monotonic()
        except (OSError, ValueError) as error:
            self._end()
            raise UndeliveredError(f"the process that sends ended: {error}") from error
        finally:
            self._lock.release()
        if answer["error"]:
            raise UndeliveredError(_without(url, str(answer["error"])))

    def rest(self) -> None:
        """End the process when it has not been needed for a while."""
        with self._lock:
            if time.monotonic() - self._used_s > _IDLE_S:
                self._end()

    def close(self) -> None:
        """End the process, whatever it is at, and start none any more."""
        self._is_closed = True
        if (process := self._process) is not None:
            process.kill()  # whoever waits for it with the lock hears so at once
        with self._lock:
            self._end()

    def _asked(self, job: dict[str, str]) -> dict[str, object]:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(job).encode() + b"\n")
        process.stdin.flush()
        line = _line(process.stdout, _ANSWER_S)
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise ValueError("it answers something else")  # noqa: TRY004  # what was said, not a type of ours
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        if self._is_closed:
            raise OSError("the collector stops")
        allowed = ",".join(str(network) for network in self._allowed)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tachograph_collector.alerts.apprise_child", allowed],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            # Ctrl-C in the collector's terminal is the collector's; what is under way is finished first.
            start_new_session=True,
        )
        assert self._process.stdout is not None
        if self._is_closed:
            raise OSError("the collector stops")
        _line(self._process.stdout, _START_S)
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _line(stream: IO[bytes], wait_s: float) -> bytes:
    """One line, however it trickles in.

    Raises:
        OSError: it did not come in time, or the stream ended.
    """
    deadline_s = time.monotonic() + wait_s
    line = b""
    # Not `select`: a collector with a thousand connections has descriptors beyond its reach.
    watch = select.poll()
    watch.register(stream, select.POLLIN)
    while not line.endswith(b"\n"):
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not watch.poll(left_s * 1e3):
            raise TimeoutError("no answer in time")
        more = os.read(stream.fileno(), 65_536)
        if not more:
            raise OSError("it ended")
        line += more
    return line


def _environment() -> dict[str, str]:
    """Without the collector's own secrets, and without proxies: a connection goes where it says."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TACHO_") and not name.lower().endswith("_proxy")
    }


def _without(url: str, said: str) -> str:
    """What was said, with nothing in it that the URL holds: parts of URLs are passwords."""
    parts = {part for part in _pieces(url) if len(part) >= 4}
    for part in sorted(parts | {unquote(part) for part in parts}, key=len, reverse=True):
        said = said.replace(part, "…")
    return said


def _pieces(url: str) -> list[str]:
    _, _, rest = url.partition("://")
    return [url, *re.split(r"[/:@?&=#,]+", rest)]
