"""The runs that a baseline is to be made of, gathered one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tachograph_schemas.drift.baseline import LEAST_RUNS, WEEK_NS, YOUNG_RUNS
from tachograph_schemas.drift.points import RunPoint

_MOST_LEARNT = 2_000
"""Runs kept for a baseline; of a busier agent every second, every fourth ... is."""


@dataclass(slots=True)
class Learning:
    """Runs gathered so far."""

    points: list[RunPoint] = field(default_factory=list)
    learnt: int = 0
    """Runs that ``points`` is a sample of."""
    stride: int = 1
    """Every how many runs one is kept."""

    def take(self, point: RunPoint) -> bool:
        """Take the next run; whether they make a better baseline by now than the one there may be."""
        if self.learnt % self.stride == 0:
            self.points.append(point)
        self.learnt += 1
        if len(self.points) > _MOST_LEARNT:
            del self.points[1::2]
            self.stride *= 2
        if self.learnt in {YOUNG_RUNS, LEAST_RUNS}:
            return True
        if self.learnt < LEAST_RUNS:
            return False
        return self.points[-1].started_ns - self.points[0].started_ns >= WEEK_NS

    def as_json(self) -> dict[str, Any]:
        """What :meth:`from_json` takes."""
        points = [point.as_json() for point in self.points]
        return {"learning": points, "learnt": self.learnt, "stride": self.stride}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Learning:
        """The runs that :meth:`as_json` gave."""
        points = [RunPoint.from_json(each) for each in data["learning"]]
        return cls(points, data["learnt"], data["stride"])
