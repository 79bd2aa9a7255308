"""The command ``tacho``. One module for each command or few that belong together; each imports what it needs when it runs.

Exit codes: 0 done, 1 the answer is no, 2 usage, 3 the collector cannot be reached, 130 interrupted by Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from tachograph.cli.examples import examples_of
from tachograph.cli.interrupts import heeding, left
from tachograph.cli.problem import USAGE, Problem

_MODULES = (
    "up",
    "demo",
    "runs",
    "show",
    "agents",
    "costs",
    "record",
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
if TYPE_CHECKING:
    _SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    _SubParsers = argparse._SubParsersAction
_LISTS = frozenset({"alert", "alert target", "budget", "key", "prices"})
"""Commands of several verbs; without one they list, as ``approvals``, ``agents`` and ``drift`` do."""


class _Verbs(_SubParsers):
    """What the list of commands says of one stands in its own help as well, unless that has more to say."""

    def add_parser(self, name: str, **given: Any) -> argparse.ArgumentParser:
        does = str(given["help"])
        return super().add_parser(name, **{"description": f"{does[0].upper()}{does[1:]}.", **given})


class _Parser(argparse.ArgumentParser):
    """Wrong usage is one line, not a page of options with the line below it; help ends with what people type."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.register("action", "parsers", _Verbs)

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {_nearest(message)}. `{self.prog} --help` says more.\n")

    def format_help(self) -> str:
        return f"{super().format_help()}{examples_of(self.prog)}"


def _nearest(message: str) -> str:
    """What argparse says of a mistyped word, with the word that is meant instead of all there are."""
    from difflib import get_close_matches

    beginning, _, choices = message.partition(" (choose from ")
    typed = beginning.rpartition("invalid choice: ")[2].strip("'")
    meant = get_close_matches(typed, re.findall(r"[\w-]+", choices), 1)
    return f"{beginning}, perhaps {meant[0]!r} is meant" if meant else message


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Never raises, and never shows a traceback."""
    _tolerate_any_terminal()
    try:
        arguments = _parsed(list(sys.argv[1:] if argv is None else argv))
        with heeding():
            code: int = arguments.run(arguments)
            sys.stdout.flush()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else USAGE
    except KeyboardInterrupt as interrupt:
        return left(interrupt)
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
    return parser.parse_args(with_verb(given))


def with_verb(given: list[str]) -> list[str]:
    """The words of a command line; ``list`` added where a command of several verbs has none."""
    for count in (2, 1):
        if " ".join(given[:count]) in _LISTS and set(given[count:]) <= {"--json"}:
            return [*given[:count], "list", *given[count:]]
    return given


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
