"""The pytest plug-in: recorded runs as test cases. Installed with the package; ``tacho test RUN`` writes tests for it.

    @pytest.mark.tacho("tapes/refund.tacho")
    def test_refund(tacho_replay):
        tacho_replay.assert_identical()

Each case is replayed in a process of its own behind a fence, so that workers of pytest-xdist share nothing. The body of
a marked test has no network either, unless ``--tacho-allow-network`` is given.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tachograph.replay._case import Case

_NETWORK = frozenset(
    (
        *("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"),
        *("socket.gethostbyaddr", "socket.sendmsg"),
    )
)


class NetworkBlockedError(RuntimeError):
    """A test of a recorded run asked for the network."""


class _Block:
    """An audit hook, which cannot be taken off again, and whether it refuses now."""

    def __init__(self) -> None:
        self.on = False
        self._hooked = False

    def put_up(self) -> None:
        self.on = True
        if not self._hooked:
            self._hooked = True
            sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on or event not in _NETWORK:
            return
        if args and isinstance(args[0], socket.socket) and args[0].family == socket.AF_UNIX:
            return
        asked = ", ".join(str(arg)[:80] for arg in args if not isinstance(arg, socket.socket))
        raise NetworkBlockedError(
            f"{event}({asked}): tests of recorded runs have no network; --tacho-allow-network gives it to them"
        )


_block = _Block()
_updated = pytest.StashKey[dict[Path, list[str]]]()
_SHOWN_CHANGES = 40


class PytestCase:
    """What the fixture ``tacho_replay`` gives: a :class:`Case` whose failure is the report alone."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def __getattr__(self, name: str) -> Any:
        return getattr(self._case, name)

    def assert_identical(self) -> None:
        """Fail with the first difference when the agent does something else than recorded."""
        __tracebackhide__ = True
        if not self._case.identical:
            pytest.fail(f"{self._case.path.name}\n{self._case.text}", pytrace=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The command line."""
    group = parser.getgroup("tachograph", "recorded runs as tests")
    group.addoption(
        "--tacho-mode",
        choices=("strict", "lenient"),
        default="strict",
        help="lenient: answer calls with other arguments than recorded all the same, and name them together",
    )
    group.addoption(
        "--tacho-code",
        metavar="DIR",
        default=None,
        help="the program's folder; default: where pytest was started",
    )
    group.addoption(
        "--tacho-allow-network",
        action="store_true",
        help="let the bodies of tests marked `tacho` use the network; replays never do",
    )
    group.addoption(
        "--tacho-update",
        action="store_true",
        help="record the runs of the selected tests anew, live, and say what changed: models are asked and paid",
    )
    group.addoption(
        "--tacho-allow-writes",
        action="store_true",
        help="with --tacho-update: let effects change the world",
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker. And two processes must not write one file."""
    if config.getoption("--tacho-update") and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError(
            "--tacho-update records one run after another: leave -n out, or say -n 0"
        )
    config.addinivalue_line(
        "markers",
        "tacho(path, *, code=None, entry='', lenient=False): a recorded run, which the fixture tacho_replay replays;"
        " path is relative to the test's file",
    )


@pytest.fixture
def tacho_replay(request: pytest.FixtureRequest) -> PytestCase:
    """The recording that the test is marked with, to be replayed against the code as it is now."""
    from tachograph.replay._case import Case

    marker = request.node.get_closest_marker("tacho")
    if marker is None:
        raise pytest.UsageError("tacho_replay needs @pytest.mark.tacho('FILE.tacho')")
    path, options = _given(*marker.args, **marker.kwargs)
    config = request.config
    code = options.pop("code") or config.getoption("--tacho-code") or config.invocation_params.dir
    lenient = options.pop("lenient") or config.getoption("--tacho-mode") == "lenient"
    file = request.node.path.parent / path
    if config.getoption("--tacho-update"):
        _update(config, file, Path(code), options["entry"])
    return PytestCase(Case(file, Path(code), options["entry"], lenient=lenient))


def _update(config: pytest.Config, file: Path, code: Path, entry: str) -> None:
    """Record a file anew, once, however many tests are about it."""
    from tachograph.replay._recording import RecordingError
    from tachograph.replay._update import made_anew

    done = config.stash.setdefault(_updated, {})
    if file in done:
        return
    writes = bool(config.getoption("--tacho-allow-writes"))
    try:
        done[file] = made_anew(file, code, entry, allow_writes=writes)
    except (RecordingError, OSError) as error:
        pytest.fail(f"{file.name} was not recorded anew: {error}.", pytrace=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was recorded anew, and what is different there."""
    from tachograph_schemas.words import plain

    for file, changes in terminalreporter.config.stash.get(_updated, {}).items():
        said = "recorded anew" if changes else "recorded anew, as it was"
        terminalreporter.write_line(f"{file.name}: {said}")
        for change in changes[:_SHOWN_CHANGES]:
            terminalreporter.write_line(plain(f"  {change}"))
        if len(changes) > _SHOWN_CHANGES:
            terminalreporter.write_line(f"  ... and {len(changes) - _SHOWN_CHANGES} more")


def _given(
    path: str | os.PathLike[str],
    *,
    code: str | None = None,
    entry: str = "",
    lenient: bool = False,
) -> tuple[Path, dict[str, Any]]:
    return Path(path), {"code": code, "entry": entry, "lenient": lenient}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """No network for the bodies of marked tests."""
    if item.get_closest_marker("tacho") is None or item.config.getoption("--tacho-allow-network"):
        return (yield)
    _block.put_up()
    try:
        return (yield)
    finally:
        _block.on = False
