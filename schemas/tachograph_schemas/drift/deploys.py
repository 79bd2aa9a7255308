"""New versions of an agent as its runs tell them, each compared with the version before it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tachograph_schemas.drift.guard import LEAST_AFTER, LEAST_BEFORE, Guarding
from tachograph_schemas.drift.points import RunPoint

MOST_RUNS = 1_000
"""Of a new version that are compared; then the watch over its baseline goes on alone."""
_MOST_OPEN = 3
_MOST_VERSIONS = 200


@dataclass(slots=True)
class Deploy:
    """A new version against the one before it."""

    baseline: str
    candidate: str
    """Fingerprints."""
    since_ns: int
    """When its first run that is compared began."""
    guarding: Guarding
    is_over: bool = False
    """Nothing more is fed: enough runs, or newer versions took its place."""

    def id(self, agent: str) -> str:
        """A name within a project."""
        name = f"{agent}\0{self.baseline}\0{self.candidate}\0{self.since_ns}"
        return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]

    def feed(self, point: RunPoint) -> None:
        """Take the next run of the candidate."""
        self.guarding.feed(point)
        self.is_over = len(self.guarding.after) >= MOST_RUNS

    def as_json(self) -> dict[str, Any]:
        """What :meth:`from_json` takes, while it is not over."""
        return {
            "baseline": self.baseline,
            "candidate": self.candidate,
            "since_ns": self.since_ns,
            "guarding": self.guarding.as_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Deploy:
        """The comparison that :meth:`as_json` gave."""
        return cls(**(dict(data) | {"guarding": Guarding.from_json(data["guarding"])}))


@dataclass(slots=True)
class Deploys:
    """The versions of one agent."""

    seen: dict[str, int] = field(default_factory=dict)
    """Runs by fingerprint; of many versions the newest."""
    under_way: list[Deploy] = field(default_factory=list)
    """Comparisons that still take runs, and those that ended since :meth:`settled` was called."""

    def feed(self, point: RunPoint, recent: Sequence[RunPoint]) -> None:
        """Take the next run, the last of ``recent``."""
        version = point.fingerprint
        if not version:
            return
        self.seen[version] = self.seen.get(version, 0) + 1
        if len(self.seen) > _MOST_VERSIONS:
            del self.seen[next(iter(self.seen))]
        for deploy in self.under_way:
            if deploy.candidate == version and not deploy.is_over:
                deploy.feed(point)
        # A fingerprint that is another one in every run never gets so far.
        if self.seen.get(version) == LEAST_AFTER:
            self._begin(version, recent)

    def settled(self) -> None:
        """What is over was written down, and is needed no more."""
        self.under_way = [each for each in self.under_way if not each.is_over]

    def _begin(self, version: str, recent: Sequence[RunPoint]) -> None:
        counts = Counter(point.fingerprint for point in recent)
        counts.pop(version, None)
        previous = next(
            (each for each in _latest_first(recent) if each and counts[each] >= LEAST_BEFORE), None
        )
        if previous is None:
            return
        before = [point for point in recent if point.fingerprint == previous]
        after = [point for point in recent if point.fingerprint == version]
        deploy = Deploy(previous, version, after[0].started_ns, Guarding.against(before))
        for point in after:
            deploy.feed(point)
        going_on = [each for each in self.under_way if not each.is_over]
        for each in going_on[: 1 - _MOST_OPEN]:
            each.is_over = True
        self.under_way.append(deploy)


def _latest_first(recent: Sequence[RunPoint]) -> list[str]:
    return list(dict.fromkeys(point.fingerprint for point in reversed(recent)))


def told(agent: str, deploy: Deploy) -> dict[str, Any]:
    """A comparison as JSON, with its verdict by now."""
    return {
        "id": deploy.id(agent),
        "agent": agent,
        "baseline": deploy.baseline,
        "candidate": deploy.candidate,
        "since_ns": deploy.since_ns,
        "is_over": deploy.is_over,
    } | asdict(deploy.guarding.result())
