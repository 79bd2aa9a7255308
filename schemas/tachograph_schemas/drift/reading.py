"""Finished runs out of the store, page by page, as points for the detectors."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import astuple, dataclass
from typing import Any

from clickhouse_connect.driver.client import Client

from tachograph_schemas.drift.baseline import REST
from tachograph_schemas.drift.points import RunPoint, Value
from tachograph_schemas.queries import _sql

PAGE_RUNS = 50_000
"""So many that the spans of a day, which lie in the order of their runs' ids, are looked through a few times only."""
_MOST_NS = 2**63 - 1
_BLOCK_RUNS = 4_096
_GENTLY = {"max_threads": 1, "max_block_size": _BLOCK_RUNS}
"""History is read beside the intake: it takes one core at most, and little memory."""
_CLOCKS_NS = 3_600 * 10**9
"""How far the clock of an agent's machine may be ahead of ours: its spans are received before they begin, then."""


_MOST_CATEGORIES = 30
"""Of one run's mix: hundreds of runs are kept of each agent, and whoever makes up names must not fill the memory of all."""
_AMOUNTS = (
    ("cost_usd", "known_cost_usd"),
    ("input_tokens", "all_input_tokens"),
    ("output_tokens", "output_tokens"),
)
_RATES = (
    ("validation_failed", "validations", "validations_failed"),
    ("gate_denied", "gates", "gates_denied"),
    ("approval_refused", "approvals", "approvals_refused"),
)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place behind a run: in the order in which finished runs became known."""

    computed_ns: int = 0
    end_ns: int = 0
    project: str = ""
    run_id: str = ""

    def as_json(self) -> list[Any]:
        """The fields in order."""
        return list(astuple(self))


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished run, whose it is, and its place."""

    project: str
    agent: str
    point: RunPoint
    cursor: Cursor


def page(
    client: Client, after: Cursor, until_ns: int, limit: int = PAGE_RUNS
) -> Generator[list[Finished]]:
    """The next finished runs behind ``after`` that were computed until ``until_ns``, in order, in pieces. Blocks.

    A run that got more spans later has another place later: whoever reads on must expect it again.

    Raises:
        StoreError: the engine refuses.
    """
    first = {f"after_{name}": each for name, each in _named(after).items()}
    last = {f"until_{name}": each for name, each in _named(Cursor(until_ns, _MOST_NS)).items()}
    return _read(client, "_drift_page", first | last | {"limit": limit}, _GENTLY)


def _named(place: Cursor) -> dict[str, Any]:
    return {
        "ns": place.computed_ns,
        "end_ns": place.end_ns,
        "project": place.project,
        "run": place.run_id,
    }


def agent_runs(client: Client, project: str, agent: str, limit: int = PAGE_RUNS) -> list[RunPoint]:
    """The newest ``limit`` finished runs of an agent, oldest first. Blocks.

    Raises:
        StoreError: the engine refuses.
    """
    values = {"project": project, "agent": agent, "limit": limit}
    points = [each.point for piece in _read(client, "_drift_agent", values, {}) for each in piece]
    return sorted(points, key=lambda point: (point.started_ns, point.run_id))


def _read(
    client: Client, which: str, values: dict[str, Any], settings: Mapping[str, Any]
) -> Generator[list[Finished]]:
    # How far first: else the engine would sort all that is left, whole, for each page of it.
    found = client.query(_text("drift_until", which), parameters=values, settings=dict(settings))
    [reach] = found.named_results()
    if not reach["runs"]:
        return
    # A run knows when it was heard of last, but what was recovered of a dead process comes later than that says.
    bounds = {"from_ns": reach["from_ns"] - _CLOCKS_NS, "seen_ns": reach["reach_ns"] + _CLOCKS_NS}
    values = values | bounds | {"until_ns": reach["reach_ns"]}
    with client.query_column_block_stream(
        _text("drift_runs", which), parameters=values, settings=dict(settings)
    ) as pieces:
        names = pieces.source.column_names
        for columns in pieces:
            yield [
                _finished(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)
            ]


def _text(query: str, which: str) -> str:
    return _sql(query).replace("${drift_which}", _sql(which).strip())


def _place(row: dict[str, Any]) -> Cursor:
    return Cursor(row["computed_at_ns"], row["ended_ns"], row["project"], row["run_id"])


def _finished(row: dict[str, Any]) -> Finished:
    return Finished(row["project"], row["agent"], point_of(row), _place(row))


def _mix(shares: Mapping[str, float]) -> Mapping[str, float]:
    """The largest categories of a run's mix; the others together are :data:`REST`, as what is rare in a baseline is."""
    if len(shares) <= _MOST_CATEGORIES:
        return shares
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    kept = dict(ordered[: _MOST_CATEGORIES - 1])
    kept[REST] = kept.get(REST, 0.0) + math.fsum(share for _, share in ordered[len(kept) :])
    return kept


def point_of(row: dict[str, Any]) -> RunPoint:
    """The point of a row of ``drift_runs``."""
    values: dict[str, Value] = {
        "steps": float(row["steps"]),
        "output_chars": float(row["output_chars"]),
        "working_s": max(0.0, float(row["working_s"])),
        "failed": float(row["outcome"] != "success"),
        "ending": {row["outcome"]: 1.0},
        "output_shape": {row["output_shape"]: 1.0},
    }
    for key, column in _AMOUNTS:
        if row[column] is not None and math.isfinite(row[column]):
            values[key] = float(row[column])
    for key in ("tools", "tool_order", "errors"):
        if row[key]:
            values[key] = _mix(row[key])
    for key, tried, counted in _RATES:
        if row[tried]:
            values[key] = float(row[counted] > 0)
    if row["repairs"]:
        values["repaired"] = float(row["repairs_failed"] == 0)
    parts = {
        "version": row["version_told"],
        "code": row["code_version"][:12],
        "model": row["first_model"],
        "prompt": row["prompt"][:8],
        "tools": row["tool_schema"][:8],
    }
    fingerprint = " ".join(f"{name}={value}" for name, value in parts.items() if value)
    return RunPoint(row["run_id"], row["started_ns"], row["label"], fingerprint, values)
