"""What the named queries return: one frozen class per kind of row.

The fields are the columns, in order; :mod:`.queries` builds the column lists from them, so that the two
cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run: a row of the view ``runs``."""

    run_id: str
    project: str
    agent: str
    service: str
    version: str
    """The agent's version as its author names it."""
    code_version: str
    """The commit of the agent's code; ``-dirty`` when the work tree differed."""
    name: str
    """The name of the root span."""
    started_at: datetime
    ended_at: datetime | None
    duration_ns: int
    """From the first span's start to the run's end, or to the last span seen."""
    waiting_ns: int
    """The part of the duration spent waiting for people, or between two attempts of a resumed run."""
    outcome: str
    """One of :data:`.names.OUTCOMES`."""
    stop_reason: str
    goal: str
    input: str
    output: str
    error_type: str
    trigger: str
    entrypoint: str
    span_count: int
    """Spans stored."""
    spans_made: int | None
    """Spans the client says it made; ``None`` when it does not say."""
    error_count: int
    model_calls: int
    tool_calls: int
    tools: list[str]
    models: list[str]
    input_tokens: int | None
    """Fresh input alone: the token classes are disjoint."""
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    """A part of ``output_tokens``."""
    cost_usd: float | None
    """Over the priced calls; ``None`` when none is priced."""
    unpriced_calls: int
    session_id: str
    user_id: str
    customer: str
    tags: list[str]
    layer_counts: Mapping[str, int]
    root_span_id: str
    last_seen_at: datetime
    tool_errors: int = 0
    """Executions of tools that failed."""
    client_cost_usd: float | None = None
    """What the client says its calls cost; ``None`` when it does not say."""
    odd_calls: int = 0
    """Model calls whose numbers of tokens do not add up."""
    tool_cost_usd: float | None = None
    """What steps say that they cost beside tokens; ``None`` when none says so."""
    human_cost_usd: float | None = None
    """The time of people, likewise."""
    saved_usd: float | None = None
    """What cached answers would have cost; ``None`` when there were none, or none with a known price."""

    @property
    def total_tokens(self) -> int | None:
        """All token classes together, ``None`` when no call reported usage."""
        known = [
            tokens
            for tokens in (
                self.input_tokens,
                self.cache_read_tokens,
                self.cache_write_tokens,
                self.output_tokens,
            )
            if tokens is not None
        ]
        return sum(known) if known else None

    @property
    def title(self) -> str:
        """What a person calls this run: its goal, else its name."""
        return self.goal or self.name


@dataclass(frozen=True, slots=True)
class AccountSpan:
    """One span as the readable account needs it: payloads cut, attributes reduced to facts."""

    span_id: str
    parent_span_id: str
    name: str
    layer: str
    status: str
    """``ok``, ``error`` or ``unset``."""
    status_message: str
    verdict: str
    """What the layer decided: ``allow``, ``deny``, ``pass``, ``fail``, ``approved``...; see the table."""
    error_type: str
    start_ns: int
    duration_ns: int
    is_open: bool
    agent: str
    provider: str
    model: str
    finish_reason: str
    tool: str
    tool_call_id: str
    input_text: str
    output_text: str
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: float | None
    cost_status: str
    facts: Mapping[str, str]
    """The ``tacho.*`` and evaluation attributes, as text."""
    second_view_of: str = ""
    """The id of the span that this one only shows once more: the same model call, the same execution of a
    tool. Empty for what happened. Tokens and costs of a call are those of its main span here."""
    odd_usage: str = ""
    """Why a model call's numbers of tokens do not add up; empty when they do."""
    tool_cost_usd: float | None = None
    human_cost_usd: float | None = None
    saved_usd: float | None = None
    """What a cached step would have cost."""

    @property
    def end_ns(self) -> int:
        """When it ended, ns since the epoch; the last known moment while it is open."""
        return self.start_ns + self.duration_ns


@dataclass(frozen=True, slots=True)
class SpanRow:
    """One span, whole."""

    span_id: str
    parent_span_id: str
    trace_id: str
    run_id: str
    name: str
    layer: str
    kind: str
    status: str
    status_message: str
    verdict: str
    error_type: str
    start_ns: int
    duration_ns: int
    is_open: bool
    service: str
    service_version: str
    scope: str
    scope_version: str
    agent: str
    session_id: str
    user_id: str
    customer: str
    provider: str
    model: str
    response_id: str
    finish_reason: str
    tool: str
    tool_call_id: str
    input: str
    output: str
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cache_write_5m_tokens: int | None
    cache_write_1h_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: float | None
    cost_status: str
    price_id: str
    attributes: Mapping[str, str]
    resource: Mapping[str, str]
    events: list[tuple[int, str, Mapping[str, str]]]
    """(time ns, name, attributes) of each event, in order."""
    links: list[tuple[str, str, Mapping[str, str]]]
    """(trace id, span id, attributes) of each link."""
    dropped_attributes: int
    tags: list[str] = field(default_factory=list)
    request_model: str = ""
    """The model that was asked for."""
    ttft_ns: int | None = None
    """From the request to the first chunk of the answer."""
    client_cost_usd: float | None = None
    """What the client says it cost."""
    second_view_of: str = ""
    """The id of the span that this one only shows once more; empty for what happened."""
    odd_usage: str = ""
    """Why a model call's numbers do not add up: ``negative unreadable cache_over_input reasoning_over_output total_differs``."""
    is_cached: bool = False
    """Answered from a cache of the agent or from a recording."""
    tool_cost_usd: float | None = None
    human_cost_usd: float | None = None
    saved_usd: float | None = None


@dataclass(frozen=True, slots=True)
class RunsSummary:
    """Totals over a filtered list of runs."""

    runs: int
    running: int
    succeeded: int
    failed: int
    stopped: int
    interrupted: int
    total_cost_usd: float | None
    unpriced: int
    """Model calls without a known price."""
    tokens: int
    median_ns: int | None
    p95_ns: int | None


@dataclass(frozen=True, slots=True)
class TrendSlice:
    """The runs that started within one slice of time."""

    slice: datetime
    runs: int
    succeeded: int
    failed: int
    slice_cost_usd: float
    p95_ns: int


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What the calls of one model used within one slice of time."""

    slice: datetime
    model: str
    calls: int
    input_tokens: int
    """Fresh input alone: the token classes are disjoint."""
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    known_cost_usd: float | None
    """Over the priced calls; ``None`` when none is priced."""


@dataclass(frozen=True, slots=True)
class HarnessCounts:
    """What the harness around one agent did; the field's metrics are ratios of these."""

    agent: str
    validations: int
    validations_failed: int
    repairs: int
    """Loops that had something to repair, and ended."""
    repairs_succeeded: int
    gates: int
    gates_denied: int
    gates_escalated: int
    approvals: int
    """Requests that were decided, or ran out of time."""
    approvals_granted: int
    approval_waiting_ns: int
    breaker_trips: int
    breaker_refusals: int
    """Calls that were not tried because a breaker was open."""
    retries: int
    fallbacks: int
    unknown_tools: int
    """Calls of tools that do not exist."""
    out_of_scope_calls: int
    injections: int
    """Patterns of injected instructions found in inputs."""
    restores: int
    stops: int
    budget_stops: int
    handoffs: int
    evals: int
    evals_passed: int
    repair_attempts: int = 0
    """Attempts of the repairs that succeeded, together."""
    approvals_refused: int = 0
    approvals_unanswered: int = 0
    """Requests that ran out of time."""
    checkpoints: int = 0
    """Times that progress was saved."""
    work_lost: int = 0
    """Steps that had to be done again after restores."""

    @property
    def validation_failure_rate(self) -> float | None:
        """Of all checks; ``None`` without any."""
        return self.validations_failed / self.validations if self.validations else None

    @property
    def repair_success_rate(self) -> float | None:
        """Of the repairs that were needed; ``None`` without any."""
        return self.repairs_succeeded / self.repairs if self.repairs else None

    @property
    def eval_pass_rate(self) -> float | None:
        """Of the evaluations that said pass or fail; ``None`` without any."""
        return self.evals_passed / self.evals if self.evals else None


@dataclass(frozen=True, slots=True)
class StopCounts:
    """How often one stop rule ended an agent's runs."""

    agent: str
    rule: str
    kind: str
    """``missing_data conflicting_records low_confidence policy approval``, or nothing."""
    stops: int
    runs: int
    last_at: datetime
    last_run_id: str
    last_reason: str
    last_needs: str
    """What a person needed in order to take over."""


@dataclass(frozen=True, slots=True)
class Facets:
    """What the filters of the list can be set to."""

    agents: list[str]
    customers: list[str]
    outcomes: list[str]
