"""One finished run as the detectors see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Value = float | Mapping[str, float]
"""A number, a rate's 0 or 1, or the shares of categories within the run."""

_HOUR_NS = 3_600 * 10**9
_EVENING_HOUR, _DAY_HOUR = 18, 8
_THURSDAY, _SATURDAY = 3, 5  # counted from Monday; time began on a Thursday


@dataclass(frozen=True, slots=True)
class RunPoint:
    """A run, reduced to what is watched."""

    run_id: str
    started_ns: int
    label: str
    """The task, in the user's words: the tag ``task:...``, else the entry point; empty when neither is known."""
    fingerprint: str
    """Of model, prompt, tool schemas and code together."""
    values: Mapping[str, Value]
    """By the metric's key; what the run does not have is left out."""

    @property
    def hours(self) -> str:
        """Which part of the week the run started in, UTC."""
        hours = self.started_ns // _HOUR_NS
        if (hours // 24 + _THURSDAY) % 7 >= _SATURDAY:
            return "weekend"
        if hours % 24 < _DAY_HOUR:
            return "night"
        return "evening" if hours % 24 >= _EVENING_HOUR else "day"

    def as_json(self) -> list[Any]:
        """What :meth:`from_json` takes."""
        return [self.run_id, self.started_ns, self.label, self.fingerprint, dict(self.values)]

    @classmethod
    def from_json(cls, data: list[Any]) -> RunPoint:
        """The point that :meth:`as_json` gave."""
        return cls(*data)
