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


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
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
    beside = request.node.path.parent
    return PytestCase(Case(beside / path, Path(code), options["entry"], lenient=lenient))


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
