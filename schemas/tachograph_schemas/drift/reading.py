"""Finished runs out of the store, page by page, as points for the detectors."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from typing import Any

from clickhouse_connect.driver.client import Client

from tachograph_schemas.drift.points import RunPoint, Value
from tachograph_schemas.queries import _sql

PAGE_RUNS = 10_000
_MOST_NS = 2**63 - 1
_GENTLY = {"max_threads": 1, "max_block_size": 8_192}
"""History is read beside the intake: it takes one core at most, and little memory."""


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


def page(client: Client, after: Cursor, until_ns: int, limit: int = PAGE_RUNS) -> list[Finished]:
    """The next finished runs behind ``after`` that were computed until ``until_ns``, in order. Blocks.

    A run that got more spans later has another place later: whoever reads on must expect it again.

    Raises:
        StoreError: the engine refuses.
    """
    first = {f"after_{name}": each for name, each in _named(after).items()}
    last = {f"until_{name}": each for name, each in _named(Cursor(until_ns, _MOST_NS)).items()}
    values = first | last | {"limit": limit}
    # Else the engine would sort all that is left, whole, for each page of it.
    values["until_ns"] = _rows(client, "drift_until", "_drift_page", values, _GENTLY)[0]["reach_ns"]
    return _read(client, "_drift_page", values, _GENTLY)


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
    points = [each.point for each in _read(client, "_drift_agent", values)]
    return sorted(points, key=lambda point: (point.started_ns, point.run_id))


def _read(
    client: Client, which: str, values: dict[str, Any], settings: Mapping[str, Any] | None = None
) -> list[Finished]:
    found = _rows(client, "drift_runs", which, values, settings)
    if not found:
        return []
    last = {f"until_{name}": each for name, each in _named(_place(found[-1])).items()}
    since, until = min(row["started_ns"] for row in found), max(row["seen_ns"] for row in found)
    values = values | last | {"from_ns": since, "seen_ns": until}
    spans = _rows(client, "drift_spans", which, values, settings)
    of_run = {(row["project"], row["run_id"]): row for row in spans}
    return [_finished(row, of_run.get((row["project"], row["run_id"]))) for row in found]


def _rows(
    client: Client,
    query: str,
    which: str,
    values: dict[str, Any],
    settings: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    text = _sql(query).replace("${drift_which}", _sql(which).strip())
    found = client.query(text, parameters=values, settings=dict(settings or {}))
    return list(found.named_results())


def _place(row: dict[str, Any]) -> Cursor:
    return Cursor(row["computed_at_ns"], row["ended_ns"], row["project"], row["run_id"])


def _finished(row: dict[str, Any], spans: dict[str, Any] | None) -> Finished:
    return Finished(row["project"], row["agent"], point_of(row, spans), _place(row))


def point_of(row: dict[str, Any], spans: dict[str, Any] | None) -> RunPoint:
    """The point of a row of ``drift_runs`` and the row of ``drift_spans`` of the same run, if it has any."""
    values: dict[str, Value] = {
        "steps": float(row["steps"]),
        "output_chars": float(row["output_chars"]),
        "working_s": max(0.0, float(row["working_s"])),
        "failed": float(row["outcome"] != "success"),
        "ending": {row["outcome"]: 1.0},
        "output_shape": {row["output_shape"]: 1.0},
    }
    for key, column in (
        ("cost_usd", "known_cost_usd"),
        ("input_tokens", "all_input_tokens"),
        ("output_tokens", "output_tokens"),
    ):
        if row[column] is not None and math.isfinite(row[column]):
            values[key] = float(row[column])
    if spans is not None:
        values |= _of_spans(spans)
    parts = {
        "version": row["version"],
        "code": row["code_version"][:12],
        "model": row["first_model"],
        "prompt": spans["prompt"][:8] if spans else "",
        "tools": spans["tool_schema"][:8] if spans else "",
    }
    fingerprint = " ".join(f"{name}={value}" for name, value in parts.items() if value)
    return RunPoint(row["run_id"], row["started_ns"], row["label"], fingerprint, values)


def _of_spans(spans: dict[str, Any]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    tools: list[str] = spans["tools_called"]
    if tools:
        values["tools"] = shares(tools)
    if len(tools) > 1:
        values["tool_order"] = shares([f"{one} > {next_}" for one, next_ in pairwise(tools)])
    if spans["errors"]:
        values["errors"] = shares(spans["errors"])
    for key, tried, counted in (
        ("validation_failed", "validations", "validations_failed"),
        ("gate_denied", "gates", "gates_denied"),
        ("approval_refused", "approvals", "approvals_refused"),
    ):
        if spans[tried]:
            values[key] = float(spans[counted] > 0)
    if spans["repairs"]:
        values["repaired"] = float(spans["repairs_failed"] == 0)
    return values


def shares(things: Sequence[str]) -> dict[str, float]:
    """How much of ``things`` each one is."""
    return {name: count / len(things) for name, count in Counter(things).items()}
