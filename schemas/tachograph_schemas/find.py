"""Which runs are asked for, in which order, from which place on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

DEFAULT_PROJECT = "default"
ATTRIBUTE_VALUE_BYTES = 100
"""Attributes with longer values are not found by them (migration 0001)."""
_NEAR = (timedelta(days=1), timedelta(days=5))
"""Looked into first, the second only for what spans say: a page is mostly found there, at a fraction of the cost (the
engine reads far beyond the first page before it stops)."""

Order = Literal["newest", "oldest", "slowest", "most expensive", "most tokens", "most errors"]


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place in an ordered list of runs: that of one run. Give it back as it came."""

    place: float | int
    run_id: str

    def __str__(self) -> str:
        """The form for addresses and command lines."""
        return f"{self.place!r}:{self.run_id}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read what ``str`` gave.

        Raises:
            ValueError: it is no cursor.
        """
        place, colon, run_id = text.partition(":")
        if not colon or not run_id:
            raise ValueError(f"{text!r} is no place in a list of runs")
        return cls(int(place) if place.lstrip("-").isdecimal() else float(place), run_id)


@dataclass(frozen=True, slots=True)
class OrderBy:
    """One order of the list."""

    sql: str
    """The ORDER BY, without the run id that settles ties."""
    place: str
    """A number that grows or falls with the order."""
    behind: str
    """The condition for being behind a cursor."""
    falls: bool = True

    def is_behind(self, one: Cursor, other: Cursor) -> bool:
        """Whether ``one`` comes later in the list than ``other``."""
        if one.place == other.place:
            return one.run_id > other.run_id
        return (one.place < other.place) is self.falls


def _by_time(comparison: str, direction: str) -> OrderBy:
    at = "fromUnixTimestamp64Nano({after_place:Int64}, 'UTC')"
    # Twice the same, once for the order of the key and once exactly.
    behind = (
        f"started_at {comparison}= {at} AND (started_at {comparison} {at}"
        " OR run_id > {after_run_id:String})"
    )
    place = "toUnixTimestamp64Nano(started_at)"
    return OrderBy(f"started_at {direction}", place, behind, falls=comparison == "<")


def _by_number(expression: str, kind: str) -> OrderBy:
    place = f"to{kind}({expression})"
    after = f"{{after_place:{kind}}}"
    behind = f"({place} < {after} OR ({place} = {after} AND run_id > {{after_run_id:String}}))"
    return OrderBy(f"{place} DESC", place, behind)


ORDERS: dict[Order, OrderBy] = {
    "newest": _by_time("<", "DESC"),
    "oldest": _by_time(">", "ASC"),
    "slowest": _by_number("${duration_ns}", "Int64"),
    "most expensive": _by_number("ifNull(cost_usd, -1)", "Float64"),
    "most tokens": _by_number(
        "ifNull(input_tokens, 0) + ifNull(output_tokens, 0)"
        " + ifNull(cache_read_tokens, 0) + ifNull(cache_write_tokens, 0)",
        "Int64",
    ),
    "most errors": _by_number("error_count", "Int64"),
}


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs; the empty filter means all. Hashable, so that it can be a cache key.

    What is set must all hold; of several agents, outcomes, customers, tools or models one is enough.
    """

    project: str = DEFAULT_PROJECT
    agents: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    customers: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""
    """Found anywhere in goal, stop reason, input, output, run id, session, user or tags of the run."""
    min_cost_usd: float | None = None
    tag: str = ""
    session_id: str = ""
    user_id: str = ""
    tools: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    max_cost_usd: float | None = None
    min_duration_ns: int | None = None
    max_duration_ns: int | None = None
    attributes: tuple[str, ...] = ()
    """``key=value``, each of which a span of the run has; values of at most 100 bytes are found."""
    search: str = ""
    """Words that all occur in the input and output of one span of the run, in any case and order; the first
    2,000 characters of each are looked into."""

    def conditions(self, *, spans: bool = True) -> list[str]:
        """The fields that are set and so become conditions; without those about spans if so asked."""
        return [
            name
            for name in _FIELDS
            if getattr(self, name) not in (None, "", ())
            and (spans or name not in {"search", "attributes"})
        ]

    def parameters(self) -> dict[str, Any]:
        """The values that the filter's SQL binds."""
        values: dict[str, Any] = {"project": self.project}
        for name in self.conditions():
            value = getattr(self, name)
            values[name] = list(value) if isinstance(value, tuple) else value
        for at, pair in enumerate(values.pop("attributes", ())):
            values[f"attribute_{at}"] = pair
        # A span never starts before its run.
        values["spans_since"] = self.since or datetime(1970, 1, 1, tzinfo=UTC)
        return values

    def windows(
        self, order: Order, after: Cursor | None, now: datetime
    ) -> Iterator[datetime | None]:
        """Values of ``since`` to try one after the other until the page is full; the last is the own one.

        Each gives the beginning of the whole answer: in the order "newest", runs of the window come first.
        """
        if order == "newest":
            newest = min(self.until or now, now)
            if after is not None:
                newest = min(newest, datetime.fromtimestamp(after.place / 1e9, UTC))
            for near in _NEAR if self.search or self.attributes else _NEAR[:1]:
                if self.since is None or newest - near > self.since:
                    yield newest - near
        yield self.since


_FIELDS = tuple(field.name for field in fields(RunFilter) if field.name != "project")


@dataclass(frozen=True, slots=True)
class RunPage:
    """A page of the list of runs."""

    order: Order = "newest"
    limit: int = 50
    offset: int = 0
    """Runs left out at the beginning; to page far, use ``after``."""
    after: Cursor | None = None
    """The place of the last run of the page before."""


FIRST_PAGE = RunPage()
