"""Every name that crosses a process boundary, once: layers, span attributes, tables.

Where the OpenTelemetry GenAI convention has a name, that name is used (``gen_ai.*``); what it does not
have is ``tacho.*``. Units are part of the name. SQL files spell these names out; a test holds the two
together (``tests/schemas/test_names.py``).
"""

from __future__ import annotations

from typing import Final, Literal, get_args

# --- layers -------------------------------------------------------------------------------------

Layer = Literal[
    "run",
    "agent",
    "step",
    "normalize",
    "context",
    "model",
    "tool",
    "retrieval",
    "memory",
    "gate",
    "validation",
    "repair",
    "breaker",
    "retry",
    "fallback",
    "approval",
    "checkpoint",
    "budget",
    "stop",
    "handoff",
    "eval",
    "other",
]
"""The closed set of harness layers. Everything that is none of them is ``other``."""

LAYERS: Final[tuple[Layer, ...]] = get_args(Layer)

Outcome = Literal["running", "success", "failure", "stopped", "interrupted"]
"""How a run stands. ``interrupted``: its process went silent before the run ended."""

OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)

Signal = Literal["traces", "logs", "metrics"]
"""What OTLP carries; each has its path, its gRPC service and its table."""

SIGNALS: Final[tuple[Signal, ...]] = get_args(Signal)

# --- OpenTelemetry: resource and general --------------------------------------------------------

SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
SESSION_ID: Final = "session.id"
USER_ID: Final = "user.id"
ERROR_TYPE: Final = "error.type"
EXCEPTION_EVENT: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"

# --- OpenTelemetry GenAI ------------------------------------------------------------------------

GEN_AI_OPERATION_NAME: Final = "gen_ai.operation.name"
"""``chat``, ``execute_tool``, ``invoke_agent``, ``retrieval``, ``embeddings`` and the memory operations."""
GEN_AI_PROVIDER_NAME: Final = "gen_ai.provider.name"
GEN_AI_CONVERSATION_ID: Final = "gen_ai.conversation.id"
GEN_AI_AGENT_NAME: Final = "gen_ai.agent.name"
GEN_AI_AGENT_VERSION: Final = "gen_ai.agent.version"
GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"
GEN_AI_REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
GEN_AI_REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
GEN_AI_REQUEST_TOP_P: Final = "gen_ai.request.top_p"
GEN_AI_REQUEST_TOP_K: Final = "gen_ai.request.top_k"
GEN_AI_REQUEST_STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
GEN_AI_REQUEST_STREAM: Final = "gen_ai.request.stream"
GEN_AI_RESPONSE_ID: Final = "gen_ai.response.id"
GEN_AI_RESPONSE_MODEL: Final = "gen_ai.response.model"
GEN_AI_RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK_S: Final = "gen_ai.response.time_to_first_chunk"
"""Seconds, as the convention says; the convention's name has no unit."""
GEN_AI_USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
"""All prompt tokens, cache reads and writes included: the convention's meaning."""
GEN_AI_USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
"""All output tokens, reasoning included."""
GEN_AI_USAGE_CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
GEN_AI_USAGE_CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
GEN_AI_USAGE_REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
GEN_AI_SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
GEN_AI_INPUT_MESSAGES: Final = "gen_ai.input.messages"
GEN_AI_OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
GEN_AI_TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"
GEN_AI_TOOL_NAME: Final = "gen_ai.tool.name"
GEN_AI_TOOL_TYPE: Final = "gen_ai.tool.type"
GEN_AI_TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
GEN_AI_TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
GEN_AI_TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"
GEN_AI_RETRIEVAL_QUERY_TEXT: Final = "gen_ai.retrieval.query.text"
GEN_AI_DATA_SOURCE_ID: Final = "gen_ai.data_source.id"
"""The store that a retrieval reads from."""
GEN_AI_MEMORY_STORE_ID: Final = "gen_ai.memory.store.id"

ANTHROPIC_CACHE_WRITE_5M_TOKENS: Final = "anthropic.usage.cache_creation.ephemeral_5m_input_tokens"
ANTHROPIC_CACHE_WRITE_1H_TOKENS: Final = "anthropic.usage.cache_creation.ephemeral_1h_input_tokens"
"""The provider's split of cache writes by lifetime; named as the Anthropic client itself names them."""
ANTHROPIC_REQUEST_ID: Final = "anthropic.request.id"
"""What to tell the provider's support; named as the Anthropic client itself names it."""
ANTHROPIC_ERROR_TYPE: Final = "anthropic.error.type"
"""The provider's word for an error: ``rate_limit_error``, ``overloaded_error``..."""
OPENAI_API_TYPE: Final = "openai.api.type"
"""``chat_completions`` or ``responses``; this and the tiers are the convention's."""
OPENAI_REQUEST_SERVICE_TIER: Final = "openai.request.service_tier"
SERVICE_TIER: Final = "tacho.service_tier"
"""``batch``, ``flex``, ``priority`` ...: at which rates a model call was made, where the provider's answer does not say."""
OPENAI_RESPONSE_SERVICE_TIER: Final = "openai.response.service_tier"
"""What was billed, which may differ from what was asked for."""
OPENAI_REQUEST_ID: Final = "openai.request.id"
"""What to tell the provider's support."""
OPENAI_ERROR_TYPE: Final = "openai.error.type"
"""The provider's word for an error: ``rate_limit_exceeded``, ``context_length_exceeded``..."""
MCP_METHOD: Final = "mcp.method.name"
"""``tools/call``, ``tools/list``, ``resources/read`` ...; the convention's."""
MCP_RESOURCE_URI: Final = "mcp.resource.uri"
MCP_SERVER: Final = "tacho.mcp.server"
"""The name that an MCP server gave itself."""
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
"""Of the answer that the call, or the attempt before a retry, ended with."""
HTTP_REQUEST_RESEND_COUNT: Final = "http.request.resend_count"
"""How often a client sent the request again by itself."""
SERVER_ADDRESS: Final = "server.address"
"""The host that a call went to."""

# --- ours: every span ---------------------------------------------------------------------------

LAYER: Final = "tacho.layer"
"""One of :data:`LAYERS`. Present on every span the SDK makes; wins over any inference."""
RUN_ID: Final = "tacho.run.id"
"""Present on every span made inside a run. Equals the trace id unless the run spans several traces."""
INPUT: Final = "tacho.input"
"""Arguments as JSON (an object by parameter name), frozen when the call was made."""
OUTPUT: Final = "tacho.output"
"""The result as JSON. For generators: the array of what they yielded."""
OPEN: Final = "tacho.open"
"""True on an in-progress copy of a span that has not ended; the final span replaces it."""
INTERRUPTED: Final = "tacho.interrupted"
"""True on the last in-progress copy of a span whose process died: nothing more will come of it."""
ALIVE_UNIX_NS: Final = "tacho.alive_unix_ns"
"""On an interrupted span: when its process was last seen alive, in nanoseconds since 1970, whenever the span was sent."""
ABANDONED: Final = "tacho.abandoned"
"""True on the span of a generator or stream whose consumer stopped before it was exhausted."""
TRUNCATED_BYTES: Final = "tacho.truncated_bytes"
"""How many bytes the size limit cut from the payloads of this span; absent when none."""
REDACTED_COUNT: Final = "tacho.redacted_count"
"""How many secrets the exporter masked in this span; absent when none."""
RESUMED: Final = "tacho.run.resumed"
"""True on the run span of a later attempt: the run was taken up again, by another process perhaps."""
TAG_PREFIX: Final = "tacho.attr."
"""Free attributes that a user adds to a span, ``tacho.attr.<key>``."""


def input_name(layer: str) -> str:
    """The attribute that holds the arguments of a step: the convention's for a tool, else ours."""
    return GEN_AI_TOOL_CALL_ARGUMENTS if layer == "tool" else INPUT


def output_name(layer: str) -> str:
    """The attribute that holds the result of a step."""
    return GEN_AI_TOOL_CALL_RESULT if layer == "tool" else OUTPUT


# --- ours: the run span -------------------------------------------------------------------------

RUN_GOAL: Final = "tacho.run.goal"
RUN_ENTRYPOINT: Final = "tacho.run.entrypoint"
"""``module:qualname`` of the decorated function."""
RUN_TRIGGER: Final = "tacho.run.trigger"
"""What started the run, in the user's words: ``cli``, ``http``, ``schedule``, ``ticket 4711``..."""
RUN_OUTCOME: Final = "tacho.run.outcome"
"""One of ``success failure stopped``; set when the run ends."""
RUN_STOP_REASON: Final = "tacho.run.stop_reason"
RUN_TAGS: Final = "tacho.run.tags"
RUN_CODE_VERSION: Final = "tacho.run.code_version"
"""The commit of the agent's code, with ``-dirty`` when the work tree differed."""
RECORDING_LIMITS: Final = "tacho.recording.limits"
"""Why the run cannot be replayed from its tape, or not exactly, in words; absent when it can."""
RUN_SPANS_MADE: Final = "tacho.run.spans_made"
"""How many spans the SDK made in this run, so that "stored 118 of 120" is visible."""
CUSTOMER: Final = "tacho.customer"

# --- ours: the layers ---------------------------------------------------------------------------

TOOL_RISK: Final = "tacho.tool.risk"
"""``low medium high critical``."""
TOOL_EFFECT: Final = "tacho.tool.effect"
"""``read`` or ``write``: whether the call changes the world."""
TOOL_SCOPE: Final = "tacho.tool.scope"
TOOL_REFUSAL: Final = "tacho.tool.refusal"
"""``unknown out_of_scope``: why a call that the model asked for was never made. ``refused stopped``: a gate, a resumption or a
budget ended a call that was begun. Absent when it was made."""
TOOL_OFFERED: Final = "tacho.tool.offered"
"""The tools that the model was shown, as a JSON array of names."""

REASON: Final = "tacho.reason"
"""Why, in a sentence; on gates, approvals, stops, handoffs, fallbacks, retries."""

GATE_RULE: Final = "tacho.gate.rule"
GATE_VERDICT: Final = "tacho.gate.verdict"
"""``allow deny escalate``: what the rule said."""
GATE_ACTION: Final = "tacho.gate.action"
"""``proceeded blocked escalated dry_run``: what was done about it, whatever the verdict was."""
GATE_RISK: Final = "tacho.gate.risk"

VALIDATION_CHECK: Final = "tacho.validation.check"
VALIDATION_KIND: Final = "tacho.validation.kind"
"""``schema semantic range consistency verification``."""
VALIDATION_VERDICT: Final = "tacho.validation.verdict"
"""``pass`` or ``fail``."""
VALIDATION_FIELD: Final = "tacho.validation.field"
VALIDATION_BY: Final = "tacho.validation.by"
"""Who judged, when it was not the agent's own code."""

REPAIR_ATTEMPT: Final = "tacho.repair.attempt"
REPAIR_MAX_ATTEMPTS: Final = "tacho.repair.max_attempts"
REPAIR_OUTCOME: Final = "tacho.repair.outcome"
"""``repaired`` or ``gave_up``."""
REPAIR_FEEDBACK: Final = "tacho.repair.feedback"

BREAKER_NAME: Final = "tacho.breaker.name"
BREAKER_FROM: Final = "tacho.breaker.from"
BREAKER_TO: Final = "tacho.breaker.to"
BREAKER_EVENT: Final = "tacho.breaker.event"
"""``opened half_open closed refused``: a change of state, or a call that an open breaker refused."""
BREAKER_REFUSED: Final = "tacho.breaker.refused"
"""The call that was refused."""

RETRY_OF: Final = "tacho.retry.of"
RETRY_ATTEMPT: Final = "tacho.retry.attempt"
"""The attempt that failed, counted from 1."""
RETRY_WAIT_MS: Final = "tacho.retry.wait_ms"
RETRY_OUTCOME: Final = "tacho.retry.outcome"
"""Of the attempt that the retry led to: ``succeeded``, ``failed`` (another follows), ``gave_up``."""

FALLBACK_FROM: Final = "tacho.fallback.from"
FALLBACK_TO: Final = "tacho.fallback.to"
FALLBACK_REDUCED: Final = "tacho.fallback.reduced"
"""What the stand-in cannot do."""
FALLBACK_TOLD: Final = "tacho.fallback.told"
"""What the user was told about it."""

APPROVAL_REQUEST: Final = "tacho.approval.request"
APPROVAL_DECISION: Final = "tacho.approval.decision"
"""``approved refused timeout``; ``pending`` when the run stopped before anybody decided."""
APPROVAL_APPROVER: Final = "tacho.approval.approver"
APPROVAL_ID: Final = "tacho.approval.id"
"""The request's id in the inbox of the collector."""
APPROVAL_RISK: Final = "tacho.approval.risk"
"""``low medium high critical``."""
APPROVAL_EDITED: Final = "tacho.approval.edited"
"""The arguments that the approver put in place of the proposed ones, as JSON."""
APPROVAL_VOUCHED: Final = "tacho.approval.vouched"
"""What vouches for the approver's name: ``key link self-declared``; with commas for several people."""
WAITING_NS: Final = "tacho.waiting_ns"
"""Time spent waiting for a person, nanoseconds; not counted as working time."""

CHECKPOINT_LABEL: Final = "tacho.checkpoint.label"
CHECKPOINT_ACTION: Final = "tacho.checkpoint.action"
"""``saved`` or ``restored``."""
CHECKPOINT_LOST: Final = "tacho.checkpoint.lost"
"""How many steps must be done again, because they were not in the checkpoint that was restored."""

COST_USD: Final = "tacho.cost.usd"
"""What a step cost beside tokens: a paid API, a search, a machine; as the agent says, in US dollars."""
COST_HUMAN_USD: Final = "tacho.cost.human_usd"
"""The time of people that a step took, in US dollars."""
COST_WHAT: Final = "tacho.cost.what"
"""What was paid for, in words."""
CACHED: Final = "tacho.cached"
"""True on a step that was answered from a cache of the agent or from a recording: it cost nothing."""
CACHED_BY: Final = "tacho.cached.by"
"""Which cache answered."""

BUDGET_SCOPE: Final = "tacho.budget.scope"
BUDGET_UNIT: Final = "tacho.budget.unit"
"""``usd tokens model_calls tool_calls steps wall_s working_s``."""
BUDGET_NAME: Final = "tacho.budget.name"  # at the collector; absent when set in code
BUDGET_HELD: Final = "tacho.budget.held"  # for calls under way
BUDGET_NEEDED: Final = "tacho.budget.needed"  # by the call that was not made, at most
BUDGET_LIMIT: Final = "tacho.budget.limit"
BUDGET_USED: Final = "tacho.budget.used"
BUDGET_ACTION: Final = "tacho.budget.action"
"""``warned degraded stopped``."""

ORDER_ID: Final = "tacho.order.id"
"""The order of a person to pause or to stop that a span obeys."""
ORDER_BY: Final = "tacho.order.by"
"""Who gave it."""

STOP_RULE: Final = "tacho.stop.rule"
STOP_KIND: Final = "tacho.stop.kind"
"""``missing_data conflicting_records low_confidence policy approval``: the kind of reason, to be counted."""
STOP_NEEDS: Final = "tacho.stop.needs"
"""What a person needs in order to take over."""

HANDOFF_FROM: Final = "tacho.handoff.from"
HANDOFF_TO: Final = "tacho.handoff.to"

MEMORY_OPERATION: Final = "tacho.memory.operation"
"""``read`` or ``write``."""
MEMORY_TIER: Final = "tacho.memory.tier"
"""``short medium long``."""

CONTEXT_CANDIDATES: Final = "tacho.context.candidates"
CONTEXT_SELECTED: Final = "tacho.context.selected"
CONTEXT_DROPPED: Final = "tacho.context.dropped"
CONTEXT_DROPPED_WHY: Final = "tacho.context.dropped_why"
"""How many pieces were left out for which reason: a JSON object, ``{"stale": 4}``."""
CONTEXT_BUDGET_TOKENS: Final = "tacho.context.budget_tokens"
CONTEXT_USED_TOKENS: Final = "tacho.context.used_tokens"
CONTEXT_COMPACTED_FROM_TOKENS: Final = "tacho.context.compacted_from_tokens"
"""How long the history was before it was summarised; ``used_tokens`` is what became of it."""

NORMALIZE_REMOVED: Final = "tacho.normalize.removed"
"""What was stripped from the input, in words: ``3 zero-width characters, page headers``."""
NORMALIZE_CUT_CHARS: Final = "tacho.normalize.cut_chars"
"""How many characters were cut off the end."""
NORMALIZE_INJECTIONS: Final = "tacho.normalize.injections"
"""How many patterns of injected instructions matched."""
NORMALIZE_PATTERNS: Final = "tacho.normalize.patterns"
"""Which ones, as a JSON array of names."""

EVAL_CASE: Final = "tacho.eval.case"
"""The case of a test set that was judged."""
EVAL_NAME: Final = "gen_ai.evaluation.name"
EVAL_SCORE: Final = "gen_ai.evaluation.score.value"
EVAL_LABEL: Final = "gen_ai.evaluation.score.label"
EVAL_EXPLANATION: Final = "gen_ai.evaluation.explanation"

# --- tables -------------------------------------------------------------------------------------

TABLE_SPANS: Final = "spans"
"""View: one row a span, the last write."""
TABLE_SPAN_ROWS: Final = "span_rows"
"""What the loader inserts: every write of every span."""
TABLE_RUNS: Final = "runs"
"""View: one row a run, its outcome as of now."""
TABLE_RUN_ROWS: Final = "run_rows"
"""What the run roll-up inserts: every version of every run."""
TABLE_LOGS: Final = "logs"
"""View: one row a log record."""
TABLE_RECORDING_ROWS: Final = "recording_rows"
"""Every tape that came: what replay needs of a run."""
TABLE_RECORDINGS: Final = "recordings"
"""One row a recorded run."""
TABLE_BLOB_ROWS: Final = "blob_rows"
"""Every write of every long payload of a tape."""
TABLE_BLOBS: Final = "blobs"
"""One row a payload, by the hash of its content."""
TABLE_LOG_ROWS: Final = "log_rows"
"""What the loader inserts: every write of every log record."""
TABLE_METRICS: Final = "metrics"
"""View: one row a data point of a metric."""
TABLE_METRIC_ROWS: Final = "metric_rows"
"""What the loader inserts: every write of every data point."""
TABLE_MODEL_CALLS: Final = "model_calls"
"""View: one row a model call, however many spans show it; what costs are summed over."""
TABLE_MODEL_RATES: Final = "model_rates"
"""USD per token by provider and model, resolved by the collector when it first meets a model."""
TABLE_USER_PRICES: Final = "user_prices"
"""The user's own price list, USD per token."""
TABLE_MIGRATIONS: Final = "schema_migrations"
