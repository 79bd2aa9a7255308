"""The commit an agent's code is at, found once per process and directory, in the background."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from functools import partial

from tachograph import _recorder
from tachograph._waits import Background, Gate

GIT_TIMEOUT_S = 5.0


@dataclass(slots=True)
class _Search:
    done: Gate = field(default_factory=Gate)
    version: str | None = None


_searches: dict[str, _Search] = {}


def known_for(source_file: str, *, wait_s: float = 0.0) -> str | None:
    """The commit of the work tree that holds ``source_file``, with ``-dirty`` when it differs.

    The first question starts the search in a thread and is answered with None, as long as git has not
    answered. Blocks for ``wait_s`` at most, and only the first time.
    """
    if _recorder.replaying:
        return None
    directory = os.path.dirname(source_file) or "."  # noqa: PTH120 - at the start of every run
    search = _searches.get(directory)
    if search is None:
        search = _searches.setdefault(directory, _Search())
        Background(partial(_look, directory, search), "tachograph-git").start()
    if wait_s and not search.done.wait(wait_s):
        # Asked once and not there: later runs must not wait again for a slow disk.
        search.done.open()
    return search.version


def _look(directory: str, search: _Search) -> None:
    try:
        commit = _git(directory, "rev-parse", "--short=12", "HEAD")
        if commit:
            changed = _git(directory, "status", "--porcelain", "--untracked-files=no")
            search.version = f"{commit}-dirty" if changed else commit
    except (OSError, ValueError, subprocess.SubprocessError):
        pass  # no git, no repository, too slow: the version stays unknown
    finally:
        search.done.open()


def _git(directory: str, *arguments: str) -> str:
    found = subprocess.run(
        ["git", "-C", directory, *arguments],
        capture_output=True,
        text=True,
        timeout=GIT_TIMEOUT_S,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return found.stdout.strip()


def _after_fork() -> None:
    """What a thread of the parent's was looking for is looked for anew: nobody would ever find it."""
    for directory, search in list(_searches.items()):
        if not search.done.is_open:
            del _searches[directory]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
