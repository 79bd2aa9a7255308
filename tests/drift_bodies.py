"""Simulated runs as an SDK would send them: a run span, a model call that costs, tools, a validation, a gate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from otlp import Trace
from tachograph_schemas.drift.points import RunPoint

MODEL = {"gen_ai__operation__name": "chat", "gen_ai__provider__name": "anthropic"}
USD_PER_TOKEN = 5e-6


def bodies(
    agent: str, points: Iterable[RunPoint], first: int, runs_each: int = 200
) -> Iterator[bytes]:
    """Bodies of about ``runs_each`` runs; ``first`` is the number of the first trace."""
    merged = None
    for number, point in enumerate(points):
        trace = run(agent, point, first + number).request
        if merged is None:
            merged = trace
        else:
            merged.resource_spans.extend(trace.resource_spans)
        if (number + 1) % runs_each == 0:
            yield merged.SerializeToString()
            merged = None
    if merged is not None:
        yield merged.SerializeToString()


def run(agent: str, point: RunPoint, number: int) -> Trace:
    """One run."""
    values = point.values
    trace = Trace(number, service="shop", service__version=point.fingerprint)
    trace.start_ns = point.started_ns
    failed = values["failed"]
    trace.span(
        1,
        "handle",
        ms=values["working_s"] * 1e3,
        error="it failed" if failed else None,
        tacho__layer="run",
        tacho__run__entrypoint="shop:handle",
        gen_ai__agent__name=agent,
        tacho__run__outcome="failure" if failed else "success",
        tacho__output='"' + "x" * int(values["output_chars"]) + '"',
    )
    trace.span(
        2,
        "chat",
        1,
        ms=1,
        gen_ai__request__model="claude-haiku-4-5",
        gen_ai__response__model="claude-haiku-4-5",
        gen_ai__usage__input_tokens=0,
        gen_ai__usage__output_tokens=round(values["cost_usd"] / USD_PER_TOKEN),
        tacho__layer="model",
        **MODEL,
    )
    at = 3
    for name, share in values.get("tools", {}).items():
        for _ in range(max(1, round(share * 4))):
            trace.span(
                at,
                f"execute_tool {name}",
                1,
                at_ms=at,
                ms=1,
                tacho__layer="tool",
                gen_ai__tool__name=name,
            )
            at += 1
    verdict = "fail" if values["validation_failed"] else "pass"
    trace.span(
        at,
        "check",
        1,
        at_ms=at,
        ms=1,
        tacho__layer="validation",
        tacho__validation__verdict=verdict,
    )
    gate = "deny" if values["gate_denied"] else "allow"
    trace.span(at + 1, "rule", 1, at_ms=at, ms=1, tacho__layer="gate", tacho__gate__verdict=gate)
    return trace
