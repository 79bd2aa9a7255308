"""``tacho record -- COMMAND``: run a program so that what it records replays exactly."""

from __future__ import annotations

import argparse
import os
import secrets
import sys

from tachograph.cli.problem import USAGE, Problem

_SEEDS = 1 << 32


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "record",
        help="run a program so that its runs replay exactly",
        usage="tacho record -- COMMAND ...",
        description="Run a program with TACHO_RECORD=exact and, unless PYTHONHASHSEED is set, with a drawn one, so that "
        "sets of strings have the same order in a replay as here. The program itself calls tachograph.init(); its "
        "exit code is the command's.",
    )
    parser.add_argument(
        "command", metavar="COMMAND", nargs=argparse.REMAINDER, help="the program and its arguments"
    )
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Become the program; does not return.

    Raises:
        Problem: no command is given, or it cannot be started.
    """
    words = [*arguments.command]
    if words[:1] == ["--"]:
        del words[0]
    if not words:
        raise Problem("Say what to run: tacho record -- python app.py", code=USAGE)
    environment = os.environ | {"TACHO_RECORD": "exact"}
    if not environment.get("PYTHONHASHSEED", "").isdigit():
        environment["PYTHONHASHSEED"] = str(1 + secrets.randbelow(_SEEDS - 1))
    sys.stdout.flush()
    try:
        # Signals, the terminal and the exit code are the program's own.
        os.execvpe(words[0], words, environment)  # noqa: S606 - what the user has typed
    except OSError as error:
        raise Problem(f"{words[0]} cannot be run: {error.strerror}", code=USAGE) from error
