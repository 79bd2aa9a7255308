"""The command ``tacho``. One module for each command or few that belong together; each imports what it needs when it runs.

Exit codes: 0 done, 1 the answer is no, 2 usage, 3 the collector cannot be reached, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from tachograph.cli.problem import USAGE, Problem

_MODULES = (
    "up",
    "demo",
    "runs",
    "show",
    "agents",
    "replay",
    "fork",
    "resume",
    "test",
    "check_run",
    "export",
    "import_",
    "worker",
    "decide",
    "orders",
    "drift",
    "guard",
    "alert",
    "budget",
    "prices",
    "key",
    "audit",
    "dsn",
    "recover",
    "doctor",
)
_LISTS = frozenset({"alert", "budget", "key", "prices"})
"""Commands of several verbs; without one they list, as ``approvals``, ``agents`` and ``drift`` do."""
_INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """Wrong usage is one line, not a page of options with the line below it."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}. `{self.prog} --help` says more.\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Never raises, and never shows a traceback."""
    _tolerate_any_terminal()
    try:
        arguments = _parsed(list(sys.argv[1:] if argv is None else argv))
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else USAGE
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        _let_go_of_output()
        return 0
    except Problem as problem:
        return _complain(str(problem), problem.code)
    except Exception as error:
        return _unforeseen(error)
    return code


def _parsed(given: list[str]) -> argparse.Namespace:
    parser = _parser()
    if not given:
        parser.print_help(sys.stderr)
        parser.exit(USAGE)
    if given[0] in _LISTS and set(given[1:]) <= {"--json"}:
        given.insert(1, "list")
    return parser.parse_args(given)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tacho",
        description="Tachograph, the flight recorder for AI agents.",
        epilog="`tacho COMMAND --help` says more. Settings are TACHO_* variables; `tacho doctor --settings` lists them.",
    )
    parser.add_argument("--version", action="version", version=f"tacho {version()}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in _MODULES:
        importlib.import_module(f"tachograph.cli.{name}").add_parser(subparsers)
    return parser


def version() -> str:
    """The installed version; ``unknown`` when the package runs from a folder that is not installed."""
    from importlib import metadata

    try:
        return metadata.version("tachograph")
    except metadata.PackageNotFoundError:
        return "unknown"


def _tolerate_any_terminal() -> None:
    """A terminal that lacks a character shows a question mark, which beats an exception."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def _let_go_of_output() -> None:
    """The reader is gone (``tacho runs | head``): what is still buffered must not complain at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _complain(sentence: str, code: int) -> int:
    from tachograph_schemas.words import plain

    print(f"tacho: {plain(sentence, newlines=True)}", file=sys.stderr)
    return code


def _unforeseen(error: Exception) -> int:
    from tachograph_schemas.settings import SettingsError

    if isinstance(error, SettingsError):
        return _complain(str(error), USAGE)
    if os.environ.get("TACHO_TRACEBACK") == "1":
        raise error
    kind = type(error).__name__
    return _complain(
        f"{kind}: {error}. This is a fault of tacho; TACHO_TRACEBACK=1 shows where, `tacho doctor` checks the rest.",
        1,
    )
