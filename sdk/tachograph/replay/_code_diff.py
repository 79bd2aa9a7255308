"""What was edited since a recording: the lines, where git knows the code that was recorded."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

_GIT_TIMEOUT_S = 10.0
_MOST_FILES = 20
_MOST_LINES = 200
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
DIRTY = "-dirty"


@dataclass(frozen=True, slots=True)
class CodeChange:
    """One file of the program that is different from when the run was recorded."""

    file: str
    lines: list[str]
    """A unified diff without its head; empty when it is not known what was recorded."""
    note: str = ""
    """Why there are no lines."""


def code_changes(
    files: list[str], recorded: dict[str, str], commit: str, root: Path
) -> list[CodeChange]:
    """What became of ``files``; blocks on git.

    Args:
        files: Those that changed, relative to ``root``.
        recorded: The digests of all files when the run was recorded.
        commit: Which the program was at then; with ``-dirty`` when it had uncommitted changes.
        root: The program's folder.
    """
    known = commit.removesuffix(DIRTY)
    return [_change(name, recorded.get(name, ""), known, root) for name in files[:_MOST_FILES]]


def _change(name: str, digest: str, commit: str, root: Path) -> CodeChange:
    if not (root / name).is_file():
        return CodeChange(name, [], "gone")
    # A recording may be a stranger's: what it names is checked, and never taken for an option.
    if not _COMMIT.fullmatch(commit):
        return CodeChange(name, [], "the recording names no commit")
    then = _git(root, "show", f"{commit}:./{name}")
    if then is None:
        return CodeChange(name, [], f"not in commit {commit}")
    if blake2b(then, digest_size=16).hexdigest() != digest:
        return CodeChange(name, [], f"recorded with changes that commit {commit} does not have")
    said = _git(root, "diff", "--no-color", "--no-ext-diff", "-U2", commit, "--", name)
    lines = (said or b"").decode("utf-8", "replace").splitlines()
    start = next((at for at, line in enumerate(lines) if line.startswith("@@")), len(lines))
    return CodeChange(name, lines[start : start + _MOST_LINES])


def _git(root: Path, *words: str) -> bytes | None:
    try:
        return subprocess.run(
            ["git", "-C", str(root), *words],
            capture_output=True,
            timeout=_GIT_TIMEOUT_S,
            check=True,
            stdin=subprocess.DEVNULL,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
