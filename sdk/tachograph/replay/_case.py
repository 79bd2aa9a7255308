"""One recorded run in a test: replayed once, then asked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tachograph.replay._process import replayed
from tachograph.replay._recording import Recording
from tachograph.replay._report import Report, explain, text
from tachograph_schemas.words import plain


class Case:
    """A recording, and what the code as it is now makes of it. The first question replays it, and blocks for that."""

    def __init__(self, path: Path, code: Path, entry: str = "", *, lenient: bool = False) -> None:
        """``path`` is a ``.tacho`` file, ``code`` the program's folder, ``entry`` ``module:function`` if it has moved."""
        self.path = path
        self._code = code
        self._entry = entry
        self._lenient = lenient

    @cached_property
    def report(self) -> Report:
        """Everything that is known of the replay.

        Raises:
            RecordingError: the recording cannot be used.
            OSError: it cannot be read.
        """
        package = self.path.read_bytes()
        recording = Recording.from_bytes(package)
        answer = replayed(package, self._code, self._entry, lenient=self._lenient)
        here = Path.cwd()
        named = self.path.relative_to(here) if self.path.is_relative_to(here) else self.path
        return explain(answer, recording, str(named), self._code)

    @property
    def identical(self) -> bool:
        """Whether every effect, and the result, was the same."""
        return self.report.identical

    @property
    def output(self) -> Any:
        """What the run returned, as JSON has it; None when it diverged."""
        return self.report.output

    @property
    def calls(self) -> Sequence[str]:
        """The names of the recorded effects, in their order."""
        return [step.name for step in self.report.steps]

    @property
    def text(self) -> str:
        """The report for people, safe to print."""
        return plain(text(self.report), newlines=True)

    def __repr__(self) -> str:
        return f"<Case {self.path.name}>"
