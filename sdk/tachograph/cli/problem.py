"""What ends a command early: one sentence for the person, what to do, and the exit code."""

from __future__ import annotations

from importlib.util import find_spec

ANSWER_IS_NO = 1
USAGE = 2
UNREACHABLE = 3


class Problem(Exception):
    """Printed on standard error as it is; never a traceback."""

    def __init__(self, sentence: str, *, code: int) -> None:
        super().__init__(sentence)
        self.code = code
        """The exit code: 1 the answer is no, 2 usage, 3 the collector cannot be reached."""


def require_server(*modules: str) -> None:
    """Check, without importing them, that packages of the server extra are installed.

    Raises:
        Problem: one is missing.
    """
    for module in modules or ("clickhouse_connect",):
        if find_spec(module) is None:
            raise needs_server(ImportError(name=module))


def needs_server(error: ImportError) -> Problem:
    """The problem of a light installation that is asked for more. Not 1, which says that a replay diverged."""
    missing = error.name or "a package"
    return Problem(
        f'This command needs the server parts ({missing} is missing): pip install "tachograph[server]"',
        code=USAGE,
    )
