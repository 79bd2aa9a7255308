"""What a run is held against: other runs of the same agent. Every question looks at a bounded number of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from clickhouse_connect.driver.client import Client

from tachograph_schemas.account import difference, title
from tachograph_schemas.account.model import Line, Usual
from tachograph_schemas.queries import _rows, _sql, account_spans, run
from tachograph_schemas.rows import AccountSpan, RunRow

LEAST_RUNS = 30
"""Fewer successful runs do not say what is usual."""
_ASKED_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Nearest:
    """The successful run that was asked most nearly the same."""

    run: RunRow
    likeness: float
    """Of what was asked, 0 to 1: 1 for the same words."""


def usual(client: Client, of: RunRow) -> Usual | None:
    """What successful runs of the same agent need, those nearest in time; ``None`` with too few of them."""
    if not of.agent:
        return None
    found = _rows(client, _sql("usual"), _around(of), Usual)[0]
    return found if found.runs >= LEAST_RUNS else None


def nearest_success(client: Client, to: RunRow) -> Nearest | None:
    """The successful run of the same agent that was asked most nearly the same; ``None`` when there is none."""
    if not to.agent:
        return None
    values = _around(to) | {"asked": asked(to), "entrypoint": to.entrypoint}
    rows = client.query(_sql("nearest_success"), parameters=values).result_rows
    found = run(client, str(rows[0][0]), to.project) if rows else None
    return Nearest(found, float(rows[0][1])) if found is not None else None


@dataclass(frozen=True, slots=True)
class Parted:
    """A run beside the nearest successful one."""

    run_id: str
    """Of the successful one."""
    title: str
    likeness: float
    """Of what was asked, 0 to 1."""
    same_steps: int
    what: str
    """See :class:`.account.difference.Difference`."""
    lines: tuple[Line, ...]

    def as_json(self) -> dict[str, object]:
        """JSON-ready values; times in nanoseconds."""
        return asdict(self)


def parted(client: Client, of: RunRow, spans: Sequence[AccountSpan]) -> Parted | None:
    """Where a run that did not succeed left the road of the nearest one that did; ``None`` without either."""
    if of.outcome in {"success", "running"}:
        return None
    found = nearest_success(client, of)
    if found is None:
        return None
    theirs = account_spans(client, found.run.run_id, found.run.project)
    differs = difference.first_difference(of, spans, found.run, theirs)
    return Parted(
        found.run.run_id,
        title(found.run, 120),
        found.likeness,
        differs.same_steps,
        differs.what,
        difference.lines(differs),
    )


def asked(of: RunRow) -> str:
    """What the run was asked: its goal, else its input as it was recorded."""
    return (of.goal or of.input)[:_ASKED_CHARS]


def _around(of: RunRow) -> dict[str, object]:
    return {
        "project": of.project,
        "agent": of.agent,
        "run_id": of.run_id,
        "around": of.started_at,
    }
