"""Which value of which attribute says what kind of step a span is; the first that says one decides.

``embedding`` is a model call too, a ``workflow`` an agent without a name; the other kinds are layers. What is
not listed says nothing, and the next attribute is asked.
"""

from __future__ import annotations

from typing import Final

_CHAT: Final = dict.fromkeys(("chat", "generate_content", "text_completion", "completion"), "model")
KINDS: Final[dict[str, dict[str, str]]] = {
    "langfuse.observation.type": {
        "generation": "model",
        "embedding": "embedding",
        "agent": "agent",
        "tool": "tool",
        "chain": "step",
        "retriever": "retrieval",
        "evaluator": "eval",
        "guardrail": "gate",
        "event": "other",
    },
    "span.type": {
        "interaction": "agent",
        "llm_request": "model",
        "tool": "tool",
        "tool.execution": "tool",
        "tool.blocked_on_user": "approval",
        "hook": "step",
    },
    "openinference.span.kind": {
        "LLM": "model",
        "EMBEDDING": "embedding",
        "CHAIN": "step",
        "RETRIEVER": "retrieval",
        "RERANKER": "retrieval",
        "TOOL": "tool",
        "AGENT": "agent",
        "GUARDRAIL": "gate",
        "EVALUATOR": "eval",
        "PROMPT": "step",
        "DECISION": "step",
    },
    "mlflow.spanType": {
        "LLM": "model",
        "CHAT_MODEL": "model",
        "EMBEDDING": "embedding",
        "TOOL": "tool",
        "AGENT": "agent",
        "CHAIN": "step",
        "RETRIEVER": "retrieval",
        "RERANKER": "retrieval",
        "PARSER": "step",
        "MEMORY": "memory",
        "WORKFLOW": "workflow",
        "TASK": "step",
        "GUARDRAIL": "gate",
        "EVALUATOR": "eval",
    },
    # Before the operation name: the transport view of a tool call.
    "mcp.method.name": {
        "tools/call": "tool",
        "tools/list": "other",
        "initialize": "other",
    },
    "gen_ai.operation.name": _CHAT
    | dict.fromkeys(("embeddings", "embedding"), "embedding")
    | dict.fromkeys(("retrieval", "rerank"), "retrieval")
    | dict.fromkeys(("invoke_agent", "create_agent"), "agent")
    | dict.fromkeys(("plan", "agent_step", "execute_event_loop_cycle", "chain"), "step")
    | dict.fromkeys(
        (
            "search_memory",
            "create_memory",
            "update_memory",
            "upsert_memory",
            "delete_memory",
            "create_memory_store",
            "delete_memory_store",
        ),
        "memory",
    )
    | {
        "invoke_workflow": "workflow",
        "execute_tool": "tool",
        "handoff": "handoff",
        "guardrail": "gate",
        # Asks for an answer that another call already paid for.
        "fetch_response": "other",
    },
    "ai.operationId": {
        "ai.generateText.doGenerate": "model",
        "ai.streamText.doStream": "model",
        "ai.generateObject.doGenerate": "model",
        "ai.streamObject.doStream": "model",
        "ai.embed.doEmbed": "embedding",
        "ai.embedMany.doEmbed": "embedding",
        "ai.rerank.doRerank": "retrieval",
        "ai.toolCall": "tool",
        "ai.generateText": "agent",
        "ai.streamText": "agent",
        "ai.generateObject": "agent",
        "ai.streamObject": "agent",
        "ai.embed": "step",
        "ai.embedMany": "step",
        "ai.rerank": "step",
    },
    "traceloop.span.kind": {
        "workflow": "workflow",
        "task": "step",
        "agent": "agent",
        "tool": "tool",
        "handoff": "handoff",
    },
    "langsmith.span.kind": {
        "llm": "model",
        "chain": "step",
        "tool": "tool",
        "retriever": "retrieval",
        "embedding": "embedding",
        "prompt": "step",
        "parser": "step",
    },
    "llm.request.type": {
        "chat": "model",
        "completion": "model",
        "embedding": "embedding",
        "rerank": "retrieval",
    },
    "logfire.msg_template": {
        "Function: {name}": "tool",
        "Agent run: {name!r}": "agent",
        "Handoff: {from_agent} → {to_agent}": "handoff",
        "OpenAI Agents trace: {name}": "workflow",
        "Chat completion with {gen_ai.request.model!r}": "model",
    },
    "logfire/sdk_span_type": {"turn": "step", "task": "step"},
    "haystack.component.type": {
        "OpenAIChatGenerator": "model",
        "AnthropicChatGenerator": "model",
    },
}


def kind_layers() -> dict[str, str]:
    """By ``attribute=value``: the kind that it says."""
    return {
        f"{attribute}={value}": kind
        for attribute, kinds in KINDS.items()
        for value, kind in kinds.items()
    }
