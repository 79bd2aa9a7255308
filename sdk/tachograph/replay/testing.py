"""For tests of agents: a recorded run must go as it went. ``tacho test RUN`` writes such tests.

Under pytest the plug-in (:mod:`tachograph.replay.pytest_plugin`) offers the same as a fixture; this is for everything
else.
"""

from __future__ import annotations

from pathlib import Path

from tachograph.replay._case import Case


def assert_replays(
    path: Path | str, *, code: Path | str = ".", entry: str = "", lenient: bool = False
) -> None:
    """Replay a ``.tacho`` file against the code as it is now, in a process without a network.

    Args:
        path: The recording.
        code: The program's folder; default: the working directory, which is where pytest was started.
        entry: ``module:function`` of the run, if it has moved.
        lenient: Answer calls with other arguments all the same; they are named together.

    Raises:
        AssertionError: the agent does something else now; the message is the first difference.
        RecordingError: the recording cannot be used.
    """
    __tracebackhide__ = True
    case = Case(Path(path), Path(code), entry, lenient=lenient)
    if not case.identical:
        raise AssertionError(f"{path}\n{case.text}")
