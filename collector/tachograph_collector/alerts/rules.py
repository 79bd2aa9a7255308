"""What a rule is, and what of it is true of a figure. No I/O."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from tachograph_collector.control.access import Name, Sentence
from tachograph_schemas import words
from tachograph_schemas.alerts import FILTERS, METRICS, GroupBy, Metric, span

Level = Literal["ok", "warning", "critical", "no_data"]
RANK: dict[str, int] = {"ok": 0, "warning": 1, "no_data": 2, "critical": 2}
"""How bad a level is."""

_DAY_S = 86_400
_Seconds = Annotated[int, Field(ge=0, le=30 * _DAY_S)]
_Figure = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
Title = Annotated[Name, StringConstraints(max_length=100, pattern=r"\S")]


class Rule(BaseModel):
    """When to alert whom. Figures are in the metric's unit: dollars, seconds, shares of 1, counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Title
    metric: str
    group_by: GroupBy = ""
    only: dict[GroupBy, Annotated[list[Name], Field(max_length=200)]] = {}
    """What is counted at all: names by column."""
    window_s: Annotated[int, Field(ge=10, le=31 * _DAY_S)] = 300
    """Over how long the figure is computed, seconds."""
    direction: Literal["above", "below"] = "above"
    warning: _Figure | None = None
    """Reached or passed in the direction, it is a warning."""
    critical: _Figure | None = None
    recovery: _Figure | None = None
    """What the figure has to come back to; by default any that is no warning."""
    for_s: _Seconds = 0
    """How long it has to hold before anybody is told."""
    recover_for_s: _Seconds = 0
    """How long it has to be over before anybody is told."""
    renotify_s: _Seconds = 0
    """Tell again after so long, while nobody has acknowledged; 0: once is enough."""
    no_data: Literal["ok", "keep", "alert"] = "ok"
    """What the absence of anything to measure is: all is well, nothing new, or an alert."""
    min_samples: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Fewer runs, calls or spans than that are no figure yet."""
    targets: Annotated[list[Name], Field(max_length=20)] = []
    """Names of targets."""
    note: Sentence = ""
    """What whoever gets the alert should know or do."""
    enabled: bool = True

    @model_validator(mode="after")
    def _makes_sense(self) -> Rule:
        metric = METRICS.get(self.metric)
        if metric is None:
            raise ValueError(f"there is no metric {self.metric!r}")
        split = set(self.only) | {self.group_by}
        if not split <= set(metric.groups) or "" in self.only or not set(self.only) <= set(FILTERS):
            known = ", ".join(metric.groups[1:])
            raise ValueError(f"{self.metric} can be split and filtered by {known}")
        if self.warning is None and self.critical is None and self.no_data != "alert":
            raise ValueError("give warning, critical, or no_data = alert")
        ladder = [each for each in (self.recovery, self.warning, self.critical) if each is not None]
        if sorted(ladder, reverse=self.direction == "below") != ladder:
            raise ValueError("recovery, warning and critical have to follow each other")
        return self

    @property
    def what(self) -> Metric:
        """The metric that it watches."""
        return METRICS[self.metric]

    def level(self, value: float | None, now: Level) -> Level:
        """What a figure is worth, when the level is ``now``."""
        if value is None:
            absent: dict[str, Level] = {"ok": "ok", "keep": now, "alert": "no_data"}
            return absent[self.no_data]
        for name, threshold in (("critical", self.critical), ("warning", self.warning)):
            if threshold is not None and self._reaches(value, threshold):
                return name  # type: ignore[return-value]
        lowest: Level = "warning" if self.warning is not None else "critical"
        if now in {"warning", "critical"} and self.recovery is not None:
            # Between recovery and the lowest threshold it stays what it was at least.
            return "ok" if not self._passes(value, self.recovery) else lowest
        return "ok"

    def _reaches(self, value: float, threshold: float) -> bool:
        return value >= threshold if self.direction == "above" else value <= threshold

    def _passes(self, value: float, threshold: float) -> bool:
        return value > threshold if self.direction == "above" else value < threshold

    def subject(self, key: str) -> str:
        """What the figure is of, in words."""
        of = [f"{self.group_by} {words.excerpt(key, 80) or '(none)'}"] if self.group_by else []
        of += [
            f"{column} {' or '.join(words.excerpt(name, 40) for name in names[:3])}"
            for column, names in self.only.items()
            if column != self.group_by
        ]
        return f"{self.what.title} ({', '.join(of)})" if of else self.what.title

    def sentence(self, key: str, level: Level, value: float | None) -> str:
        """What is the matter, in one sentence."""
        over = self.what.over(self.window_s)
        if level == "no_data" or value is None:
            return f"{self.subject(key)}: nothing to measure {over}".rstrip()
        shown = f"{self.subject(key)}: {self.what.shown(value)} {over}".rstrip()
        threshold = {"warning": self.warning, "critical": self.critical}.get(level)
        if threshold is None:
            return shown
        side = "or more" if self.direction == "above" else "or less"
        return f"{shown}; {level} is {self.what.shown(threshold)} {side}"

    def summary(self) -> str:
        """The rule in one line."""
        parts = [self.what.title + (f" by {self.group_by}" if self.group_by else "")]
        parts += [f"{column} {', '.join(names[:3])}" for column, names in self.only.items()]
        if over := self.what.over(self.window_s):
            parts.append(over)
        side = "or more" if self.direction == "above" else "or less"
        for name, threshold in (("warning", self.warning), ("critical", self.critical)):
            if threshold is not None:
                parts.append(f"{name} {self.what.shown(threshold)} {side}")
        if self.no_data == "alert":
            parts.append("no data alerts")
        if self.for_s:
            parts.append(f"when it has held for {span(self.for_s)}")
        return words.plain(" · ".join(parts))
