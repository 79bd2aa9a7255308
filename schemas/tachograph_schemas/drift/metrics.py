"""What is watched of each agent: the metrics, how each is measured on one run, and its share of the false-alarm budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["number", "rate", "mix"]
"""``number``: a quantity a run has; ``rate``: 0 or 1 a run; ``mix``: the shares of categories within a run."""
Unit = Literal["usd", "tokens", "count", "seconds", "characters", "share"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. A run that does not have it (no repair was tried) says nothing about it."""

    key: str
    kind: Kind
    title: str
    unit: Unit
    weight: float
    """Its part of the false-alarm budget, before what no run of the agent has is given to the others."""


_MAIN: Final = 0.19
_SIDE: Final = 0.02

METRICS: Final[tuple[Metric, ...]] = (
    Metric("cost_usd", "number", "Cost of a run", "usd", _MAIN),
    Metric("working_s", "number", "Working time, waiting removed", "seconds", 0.08),
    Metric("input_tokens", "number", "Input tokens", "tokens", _SIDE),
    Metric("output_tokens", "number", "Output tokens", "tokens", _SIDE),
    Metric("steps", "number", "Steps: model and tool calls", "count", _SIDE),
    Metric("output_chars", "number", "Length of the output", "characters", _SIDE),
    Metric("failed", "rate", "Runs without success", "share", _MAIN),
    Metric("validation_failed", "rate", "Runs with a failed validation", "share", 0.10),
    Metric("repaired", "rate", "Repairs that succeeded", "share", _SIDE),
    Metric("gate_denied", "rate", "Runs with an action denied by a gate", "share", _SIDE),
    Metric("approval_refused", "rate", "Approvals that were refused", "share", _SIDE),
    Metric("tools", "mix", "Which tools are called", "share", 0.22),
    Metric("tool_order", "mix", "Which tool follows which", "share", 0.05),
    Metric("errors", "mix", "Kinds of errors", "share", _SIDE),
    Metric("output_shape", "mix", "Shape of the output", "share", _SIDE),
    Metric("ending", "mix", "How runs end", "share", _SIDE),
)
BY_KEY: Final = {metric.key: metric for metric in METRICS}
