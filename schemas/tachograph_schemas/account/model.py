"""The shape of a readable account: plain data, no markup. Every text may hold hostile content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["plain", "good", "warn", "bad", "waiting"]
"""``bad``: failed or blocked. ``warn``: repaired, retried, degraded. ``waiting``: a person's turn."""


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence of the account, tied to the span it speaks of."""

    text: str
    """A plain sentence, sentence case, no full stop needed."""
    layer: str = "other"
    tone: Tone = "plain"
    span_id: str = ""
    """Empty when the sentence is about the run as a whole."""
    offset_ns: int | None = None
    """From the start of the run."""
    duration_ns: int | None = None
    detail: str = ""
    """A second, quieter line: an argument, a reason, an excerpt. May be long; cut it when shown."""
    count: int = 1
    """How many alike steps in a row this line stands for."""


@dataclass(frozen=True, slots=True)
class Section:
    """The answer to one of the questions that a run must answer."""

    key: str
    """``trigger read tools decided changed approved stopped cost``."""
    question: str
    lines: tuple[Line, ...]
    """Never empty: when there is nothing to say, one line says that."""


@dataclass(frozen=True, slots=True)
class Account:
    """What happened in a run, for a person who has neither the code nor the logs."""

    run_id: str
    title: str
    verdict: str
    """One sentence: how it ended and why."""
    tone: Tone
    story: tuple[Line, ...]
    """The run in order of time, alike steps folded."""
    sections: tuple[Section, ...]
    """The eight questions, in their order."""
    warnings: tuple[str, ...] = ()
    """What the reader must know about the record itself: missing spans, cut payloads, no prices."""

    def section(self, key: str) -> Section:
        """The section with this key."""
        return next(section for section in self.sections if section.key == key)
