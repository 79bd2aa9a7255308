"""Which attribute of which convention feeds which column: one table, in order of precedence.

The insert looks every attribute name up here once (:func:`codes`), so a further client costs nothing per
span. ``docs/conventions.md`` explains the rows and the traps. A name without a dot says nothing by itself;
it counts only in the scopes that use it, written ``family/name`` (:data:`FAMILIES`).
"""

from __future__ import annotations

from typing import Final

FAMILIES: Final = {
    "com.anthropic.claude_code": "claude_code",
    "logfire": "logfire",
    "pydantic-ai": "logfire",
    "mlflow": "mlflow",
}
"""Beginnings of scope names whose undotted attributes are known."""

RANKS_PER_FIELD: Final = 64

# Short fields first: only these are unquoted where a client JSON-encodes every value.
FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "session_id": (
        "langfuse.session.id",
        "session.id",
        "gen_ai.conversation.id",
        "traceloop.association.properties.session_id",
        "langsmith.metadata.session_id",
        "langsmith.metadata.thread_id",
        "langsmith.trace.session_id",
        "ai.telemetry.metadata.sessionId",
        "ai.settings.context.sessionId",
        "metadata.session_id",
        "mlflow.trace.session",
        "logfire/group_id",
        "logfire/session_id",
        "session_id",
        "thread_id",
    ),
    "user_id": (
        "langfuse.user.id",
        "user.id",
        "enduser.id",
        "traceloop.association.properties.user_id",
        "langsmith.metadata.user_id",
        "ai.telemetry.metadata.userId",
        "ai.settings.context.userId",
        "metadata.user_api_key_user_id",
        "llm.user",
        "mlflow.trace.user",
        "gen_ai.request.user",
        "logfire/user_id",
    ),
    "customer": ("tacho.customer", "customer.id", "tenant.id"),
    "run_id": ("tacho.run.id",),
    "layer": ("tacho.layer",),
    "open": ("tacho.open",),
    "verdict": (
        "tacho.gate.verdict",
        "tacho.validation.verdict",
        "tacho.repair.outcome",
        "tacho.approval.decision",
        "tacho.budget.action",
        "tacho.stop.kind",
        "tacho.tool.refusal",
        "tacho.breaker.event",
        "tacho.checkpoint.action",
        "gen_ai.evaluation.score.label",
    ),
    # Claude Code's permissions, and whether its tools did what they should.
    "decision": ("claude_code/decision",),
    "decided_by": ("claude_code/source",),
    "success": ("claude_code/success",),
    "tool_status": ("gen_ai.tool.status", "haystack.tool.error"),
    "level": ("langfuse.observation.level",),
    # Logfire: logs, and announcements of open spans.
    "span_type": ("logfire.span_type",),
    "pending_parent": ("logfire.pending_parent_id",),
    "component": ("haystack.component.type",),
    # Spans with one of these are transport, unless something says that they are a step.
    "transport": (
        "http.request.method",
        "http.method",
        "db.system",
        "db.system.name",
        "rpc.system",
        "messaging.system",
    ),
    "agent": (
        "gen_ai.agent.name",
        "agent.name",
        "graph.node.name",
        "langsmith.metadata.lc_agent_name",
        "lc_agent_name",
        "logfire/agent_name",
    ),
    # The agent's name on spans that are agents, something else on others.
    "agent_of_agent": ("ai.telemetry.functionId", "graph.node.id"),
    # An agent's or a tool's, as the span's kind says.
    "entity": ("traceloop.entity.name", "logfire/name"),
    "provider": (
        "gen_ai.provider.name",
        "llm.provider",
        "gen_ai.system",
        "llm.system",
        "ai.model.provider",
        "mlflow.llm.provider",
        "langsmith.metadata.ls_provider",
        "error.llm_provider",
    ),
    "model": (
        "gen_ai.response.model",
        "llm.response.model_name",
        "ai.response.model",
        "langfuse.observation.model.name",
        "llm.model_name",
    ),
    "request_model": (
        "gen_ai.request.model",
        "llm.request.model_name",
        "ai.model.id",
        "langsmith.metadata.ls_model_name",
        "embedding.model_name",
        "mlflow/model",
        "mlflow.llm.model",
        "claude_code/model",
    ),
    "response_id": ("gen_ai.response.id", "ai.response.id", "logfire/response_id"),
    "finish_reason": (
        "gen_ai.response.finish_reasons",
        "llm.finish_reason",
        "anthropic.message.stop_reason",
        "ai.response.finishReason",
        "gen_ai.completion.0.finish_reason",
        "claude_code/stop_reason",
    ),
    "tool": (
        "gen_ai.tool.name",
        "tool.name",
        "ai.toolCall.name",
        "mlflow.spanFunctionName",
        "haystack.tool.name",
        "langsmith.trace.name",
        "claude_code/tool_name",
    ),
    "tool_call_id": (
        "gen_ai.tool.call.id",
        "tool.id",
        "tool_call.id",
        "ai.toolCall.id",
        "claude_code/tool_use_id",
    ),
    "error_type": (
        "error.type",
        "exception.type",
        "logfire/error_class",
        "pydantic_ai.tool.retry.cause",
    ),
    "error_message": (
        "error.message",
        "exception.message",
        "langfuse.observation.status_message",
        "claude_code/error",
        "logfire/error",
    ),
    "input_tokens": (
        "gen_ai.usage.input_tokens",
        "llm.token_count.prompt",
        "ai.usage.inputTokens",
        "gen_ai.usage.prompt_tokens",
        "ai.usage.promptTokens",
        "claude_code/input_tokens",
        "ai.usage.tokens",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens",
        "llm.token_count.completion",
        "ai.usage.outputTokens",
        "gen_ai.usage.completion_tokens",
        "ai.usage.completionTokens",
        "claude_code/output_tokens",
    ),
    "cache_read_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "ai.usage.inputTokenDetails.cacheReadTokens",
        "ai.usage.cachedInputTokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.input_tokens.cached",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cache_read_input_tokens",
        "claude_code/cache_read_tokens",
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "llm.token_count.prompt_details.cache_write",
        "ai.usage.inputTokenDetails.cacheWriteTokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "claude_code/cache_creation_tokens",
    ),
    "cache_write_1h_tokens": ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "llm.token_count.completion_details.reasoning",
        "ai.usage.outputTokenDetails.reasoningTokens",
        "ai.usage.reasoningTokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.output_tokens.reasoning",
        "gen_ai.usage.details.reasoning_tokens",
    ),
    "total_tokens": (
        "llm.usage.total_tokens",
        "gen_ai.usage.total_tokens",
        "llm.token_count.total",
    ),
    "ttft_s": (
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.client.operation.time_to_first_chunk",
    ),
    "ttft_ms": ("ai.response.msToFirstChunk", "claude_code/ttft_ms"),
    # Milliseconds from Strands, seconds from others.
    "ttft_server": ("gen_ai.server.time_to_first_token",),
    "client_cost": (
        "llm.cost.total",
        "gen_ai.cost.total_cost",
        "gen_ai.usage.cost",
        "operation.cost",
        "claude_code/cost_usd",
    ),
    "tool_cost": ("tacho.cost.usd",),
    "human_cost": ("tacho.cost.human_usd",),
    "cached": ("tacho.cached",),
    # From here on: payloads.
    "client_cost_json": ("langfuse.observation.cost_details", "mlflow.llm.cost"),
    # Usage as a JSON object or as the text of a Python one.
    "usage": (
        "mlflow.chat.tokenUsage",
        "langfuse.observation.usage_details",
        "langsmith.metadata.usage_metadata",
        "logfire/usage",
        "gen_ai.usage.raw",
        "metadata.usage_object",
    ),
    "parameters": ("llm.invocation_parameters",),
    "messages_in": ("gen_ai.input.messages",),
    "messages_out": ("gen_ai.output.messages",),
    "arguments": (
        "gen_ai.tool.call.arguments",
        "ai.toolCall.args",
        "gcp.vertex.agent.tool_call_args",
        "tool_arguments",
        "logfire/tool_arguments",
        "claude_code/tool_input",
    ),
    "result": (
        "gen_ai.tool.call.result",
        "ai.toolCall.result",
        "anthropic.tool_result.content",
        "gcp.vertex.agent.tool_response",
        "tool_response",
        "logfire/tool_response",
    ),
    "input": (
        "tacho.input",
        "gen_ai.retrieval.query.text",
        "langfuse.observation.input",
        "ai.prompt.messages",
        "pydantic_ai.all_messages",
        "logfire/events",
        "mlflow.spanInputs",
        "gen_ai.prompt",
        "gcp.vertex.agent.llm_request",
        "traceloop.entity.input",
        "llm.prompts",
        "haystack.agent.step.llm.input",
        "haystack.agent.step.tool.input",
        "logfire/input",
        "logfire/raw_input",
        "logfire/request_data",
        "input.value",
        "ai.prompt",
        "ai.values",
        "claude_code/user_prompt",
        "haystack.agent.input",
        "haystack.component.input",
        "function.args",
    ),
    "output": (
        "tacho.output",
        "gen_ai.retrieval.documents",
        "langfuse.observation.output",
        "ai.response.text",
        "ai.response.toolCalls",
        "logfire/final_result",
        "final_result",
        "logfire/response_data",
        "mlflow.spanOutputs",
        "gen_ai.completion",
        "gcp.vertex.agent.llm_response",
        "traceloop.entity.output",
        "haystack.agent.step.llm.output",
        "haystack.agent.step.tool.output",
        "logfire/output",
        "output.value",
        "ai.embeddings",
        "haystack.agent.output",
        "haystack.component.output",
    ),
    "tool_parameters": ("tool.parameters",),
    # Lists of tags, merged; the last one is text with commas.
    "tags": (
        "tacho.run.tags",
        "tag.tags",
        "langfuse.trace.tags",
        "langfuse.tags",
        "logfire.tags",
        "ai.telemetry.metadata.tags",
        "ai.settings.context.tags",
        "metadata.tags",
        "langsmith.span.tags",
    ),
}

USAGE: Final[dict[str, tuple[str, ...]]] = {
    "input": ("input_tokens", "prompt_tokens", "input"),
    "output": ("output_tokens", "completion_tokens", "output"),
    "cache_read": (
        "cache_read_input_tokens",
        "input_cached_tokens",
        "input_cache_read",
        "cached_tokens",
        "cache_read",
    ),
    "cache_write": (
        "cache_creation_input_tokens",
        "input_cache_creation",
        "cache_write_tokens",
        "cache_creation_tokens",
        "ephemeral_5m_input_tokens",
        "cache_creation",
    ),
    "reasoning": ("reasoning_tokens", "output_reasoning_tokens", "output_reasoning", "reasoning"),
}
"""Names of counts inside a usage object, wherever they are nested."""


def field_number(name: str) -> int:
    """The number under which the insert knows a field of :data:`FIELDS`, from 1."""
    return list(FIELDS).index(name) + 1


def field_codes() -> dict[str, int]:
    """By attribute name: field number * 64 + rank, so that sorting by code sorts by precedence."""
    return {
        attribute: (number * RANKS_PER_FIELD) + rank
        for number, attributes in enumerate(FIELDS.values(), start=1)
        for rank, attribute in enumerate(attributes)
    }


def usage_codes() -> dict[str, int]:
    """By count name: class number * 64 + rank, as :func:`field_codes`."""
    return {
        name: (number * RANKS_PER_FIELD) + rank
        for number, names in enumerate(USAGE.values(), start=1)
        for rank, name in enumerate(names)
    }
