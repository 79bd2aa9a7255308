"""Finished runs out of the store, page by page, as points for the detectors."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from typing import Any

from clickhouse_connect.driver.client import Client

from tachograph_schemas.drift.points import RunPoint, Value
from tachograph_schemas.queries import _sql

PAGE_RUNS = 10_000


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
    values = {
        "after_ns": after.computed_ns,
        "after_end_ns": after.end_ns,
        "after_project": after.project,
        "after_run": after.run_id,
        "until_ns": until_ns,
        "limit": limit,
    }
    return _read(client, "_drift_page", values)


def agent_runs(client: Client, project: str, agent: str, limit: int = PAGE_RUNS) -> list[RunPoint]:
    """The newest ``limit`` finished runs of an agent, oldest first. Blocks.

    Raises:
        StoreError: the engine refuses.
    """
    values = {"project": project, "agent": agent, "limit": limit}
    points = [each.point for each in _read(client, "_drift_agent", values)]
    return sorted(points, key=lambda point: (point.started_ns, point.run_id))


def _read(client: Client, which: str, values: dict[str, Any]) -> list[Finished]:
    def rows(query: str) -> list[dict[str, Any]]:
        text = _sql(query).replace("${drift_which}", _sql(which).strip())
        return list(client.query(text, parameters=values).named_results())

    found = rows("drift_runs")
    if not found:
        return []
    values["from_ns"] = min(row["started_ns"] for row in found)
    of_run = {(row["project"], row["run_id"]): row for row in rows("drift_spans")}
    return [_finished(row, of_run.get((row["project"], row["run_id"]))) for row in found]


def _finished(row: dict[str, Any], spans: dict[str, Any] | None) -> Finished:
    cursor = Cursor(row["computed_at_ns"], row["ended_ns"], row["project"], row["run_id"])
    return Finished(row["project"], row["agent"], point_of(row, spans), cursor)


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
