"""The shape of a readable account: plain data, no markup. Every text may hold hostile content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
class Usual:
    """What successful runs of the same agent need; only when there are enough of them to say."""

    runs: int
    context_tokens_p99: float
    """The largest context of a run; 0 when tokens are not reported."""
    steps_p99: float
    """Model and tool calls of a run."""
    cost_usd_p99: float
    """0 when no price is known."""


@dataclass(frozen=True, slots=True)
class Sign:
    """Something within a run that is worth a look. A warning, no verdict."""

    kind: str
    """``same_result same_call near_duplicates stale_steps unverified forgotten context steps spent``."""
    line: Line
    """The sentence, tied to the step at which it became visible."""
    value: float
    """How strong: how often, or how many times what is usual."""


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
    signs: tuple[Sign, ...] = ()
    """Signs of trouble within the run, also while it runs."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """What the signs are read from: ``same_call``, ``same_result``, ``context_tokens``..., as :mod:`.signs` says."""
    why: tuple[Line, ...] = ()
    """Why it ended: from its end back to the first cause; empty while it runs."""

    def section(self, key: str) -> Section:
        """The section with this key."""
        return next(section for section in self.sections if section.key == key)
