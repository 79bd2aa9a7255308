"""The Responses API: what its requests, answers and streams say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tachograph.instruments._client_response import message_fields
from tachograph.instruments._dialect import Builder, Fields, Usage
from tachograph.instruments._openai_common import (
    OpenAIDialect,
    parts_of,
    tool_call_part,
    tool_definitions,
)
from tachograph_schemas import names

_REQUEST_FIELDS = {
    "max_output_tokens": names.GEN_AI_REQUEST_MAX_TOKENS,
    "temperature": names.GEN_AI_REQUEST_TEMPERATURE,
    "top_p": names.GEN_AI_REQUEST_TOP_P,
    "service_tier": names.OPENAI_REQUEST_SERVICE_TIER,
}
_LAST_EVENTS = ("response.completed", "response.incomplete", "response.failed")
_CALLS = ("function_call", "custom_tool_call")
_RESULTS = ("function_call_output", "custom_tool_call_output")


class Responses(OpenAIDialect):
    """``POST /responses``."""

    def request_facts(self, body: Fields) -> dict[str, Any]:
        """Sampling, limits, and the conversation that the provider keeps."""
        facts = {attribute: body.get(field) for field, attribute in _REQUEST_FIELDS.items()}
        conversation = body.get("conversation")
        if isinstance(conversation, Mapping):
            conversation = conversation.get("id")
        facts[names.GEN_AI_CONVERSATION_ID] = conversation
        return {**facts, names.OPENAI_API_TYPE: "responses"}

    def request_payloads(self, body: Fields) -> Iterable[tuple[str, Any]]:
        """What the model is shown, as far as the request has it: what went before may be kept there."""
        return (
            (names.GEN_AI_SYSTEM_INSTRUCTIONS, parts_of(body.get("instructions"))),
            (names.GEN_AI_INPUT_MESSAGES, _input(body.get("input"))),
            (names.GEN_AI_TOOL_DEFINITIONS, tool_definitions(body.get("tools"))),
        )

    def answer_facts(self, message: Fields) -> dict[str, Any]:
        """Which answer it is and how it ended."""
        reason = (message.get("incomplete_details") or {}).get("reason") or message.get("status")
        return {
            names.GEN_AI_RESPONSE_ID: message.get("id"),
            names.GEN_AI_RESPONSE_MODEL: message.get("model"),
            names.GEN_AI_RESPONSE_FINISH_REASONS: [reason] if reason else None,
            names.OPENAI_RESPONSE_SERVICE_TIER: message.get("service_tier"),
        }

    def output(self, message: Fields) -> list[dict[str, Any]]:
        """All that the model put out, as one message."""
        items = message.get("output")
        parts = [part for item in items or () for part in _parts(item)]
        if not parts:
            return []
        return [
            {"role": "assistant", "parts": parts, "finish_reason": message.get("status") or "stop"}
        ]

    def usage(self, message: Fields) -> Usage | None:
        """This API counts as the convention does: cached and reasoning tokens are parts of the sums."""
        usage = message.get("usage")
        if not isinstance(usage, Mapping):
            return None
        prompt = usage.get("input_tokens_details") or {}
        return Usage(
            prompt=usage.get("input_tokens"),
            output=usage.get("output_tokens"),
            cache_read=prompt.get("cached_tokens"),
            cache_write=prompt.get("cache_write_tokens"),
            reasoning=(usage.get("output_tokens_details") or {}).get("reasoning_tokens"),
        )

    def problem(self, message: Fields) -> str | None:
        """A response that failed still comes with status 200."""
        if message.get("status") != "failed":
            return None
        error = message.get("error") or {}
        return f"{error.get('code') or 'failed'}: {error.get('message') or 'the response failed'}"

    def builder(self) -> Builder:
        """Gathers the events of one response."""
        return EventBuilder()


class EventBuilder:
    """The response so far. The last event brings it whole; before that, items come one by one."""

    def __init__(self) -> None:
        self.has_content = False
        self._ended = False
        self._whole: dict[str, Any] = {}
        self._items: dict[int, Fields] = {}
        self._texts: dict[int, list[str]] = {}

    def add(self, event: Any) -> None:
        """Take in one event."""
        kind = str(getattr(event, "type", ""))
        if kind == "response.created" or kind in _LAST_EVENTS:
            self._whole = dict(message_fields(event.response))
            self._ended = kind in _LAST_EVENTS
        elif kind == "response.output_item.done":
            self._items[event.output_index] = message_fields(event.item)
        elif kind == "response.output_text.delta":
            self._texts.setdefault(event.output_index, []).append(event.delta)
        elif kind == "error":
            error = {"code": event.code, "message": event.message}
            self._whole = {**self._whole, "status": "failed", "error": error}
            self._ended = True
        self.has_content = self.has_content or kind.endswith(".delta")

    def ended(self) -> bool:
        """Whether the last event was one of those that end a response."""
        return self._ended

    def complete(self) -> bool:
        """Nothing is whole before."""
        return self._ended

    def fields(self) -> Fields:
        """The response with the content that has come."""
        if self._whole.get("output"):
            return self._whole
        items = {
            index: {"type": "message", "content": [{"type": "text", "text": "".join(pieces)}]}
            for index, pieces in self._texts.items()
        } | self._items
        output = [item for _, item in sorted(items.items())]
        return {**self._whole, "output": output} if self._whole else {}


def _input(given: Any) -> list[dict[str, Any]]:
    if isinstance(given, str):
        return [{"role": "user", "parts": parts_of(given)}]
    if not isinstance(given, list | tuple):
        return []
    converted = []
    for item in given:
        if isinstance(item, Mapping):
            kind = item.get("type", "message")
            role = "tool" if kind in _RESULTS else item.get("role") or "assistant"
            converted.append({"role": role, "parts": _parts(item)})
    return converted


def _parts(item: Fields) -> list[dict[str, Any]]:
    kind = str(item.get("type", "message"))
    if kind == "message":
        return parts_of(item.get("content"))
    if kind == "reasoning":
        thoughts = parts_of(item.get("summary")) + parts_of(item.get("content"))
        return [{"type": "reasoning", "content": part.get("content")} for part in thoughts]
    if kind in _CALLS:
        arguments = item.get("arguments", item.get("input"))
        return [tool_call_part(item.get("call_id"), item.get("name"), arguments)]
    if kind in _RESULTS:
        output = item.get("output")
        response = output if isinstance(output, str) else parts_of(output)
        return [{"type": "tool_call_response", "id": item.get("call_id"), "response": response}]
    if kind.endswith("_call"):
        # The provider ran it: web search, file search, code, MCP.
        call = {key: value for key, value in item.items() if key not in {"id", "type"}}
        part = {
            "type": "server_tool_call",
            "id": item.get("id"),
            "name": kind.removesuffix("_call"),
        }
        return [{**part, "server_tool_call": {"type": kind, **call}}]
    return [dict(item)]
