"""For tests of agents: a recorded run must go as it went. ``tacho test RUN`` writes such tests."""

from __future__ import annotations

from pathlib import Path

from tachograph.replay._divergence import Divergence
from tachograph.replay._process import replayed


def assert_replays(path: Path | str, *, code: Path | str = ".", entry: str = "") -> None:
    """Replay a ``.tacho`` file against the code as it is now, in a process without a network.

    Args:
        path: The recording.
        code: The program's folder; default: the working directory, which is where pytest was started.
        entry: ``module:function`` of the run, if it has moved.

    Raises:
        AssertionError: the agent does something else now; the message is the first difference.
        RecordingError: the recording cannot be used.
    """
    __tracebackhide__ = True
    answer = replayed(Path(path).read_bytes(), Path(code), entry)
    if not answer["identical"]:
        raise AssertionError(f"{path}\n{Divergence(**answer['divergence']).text()}")
