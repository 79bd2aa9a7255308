"""The Messages API of Anthropic: what its requests, answers and streams say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry import propagate

from tachograph.instruments._anthropic_messages import (
    input_messages,
    output_messages,
    system_instructions,
    tool_definitions,
)
from tachograph.instruments._client_response import message_fields
from tachograph.instruments._dialect import Builder, Fields, Usage
from tachograph_schemas import names

_REQUEST_FIELDS = {
    "max_tokens": names.GEN_AI_REQUEST_MAX_TOKENS,
    "temperature": names.GEN_AI_REQUEST_TEMPERATURE,
    "top_p": names.GEN_AI_REQUEST_TOP_P,
    "top_k": names.GEN_AI_REQUEST_TOP_K,
}


class Messages:
    """``POST /v1/messages``."""

    request_id_header = "request-id"
    request_id_name = names.ANTHROPIC_REQUEST_ID

    def provider_of(self, client: Any) -> str:
        """Clients for other clouds say which."""
        named = getattr(getattr(client, "_otel", None), "provider_name", None)
        return named if isinstance(named, str) else "anthropic"

    def request_facts(self, body: Fields) -> dict[str, Any]:
        """Sampling and limits."""
        facts = {attribute: body.get(field) for field, attribute in _REQUEST_FIELDS.items()}
        if body.get("stop_sequences"):
            facts[names.GEN_AI_REQUEST_STOP_SEQUENCES] = list(body["stop_sequences"])
        return facts

    def request_payloads(self, body: Fields) -> Iterable[tuple[str, Any]]:
        """What the model is shown."""
        return (
            (names.GEN_AI_SYSTEM_INSTRUCTIONS, system_instructions(body.get("system"))),
            (names.GEN_AI_INPUT_MESSAGES, input_messages(body.get("messages"))),
            (names.GEN_AI_TOOL_DEFINITIONS, tool_definitions(body.get("tools"))),
        )

    def sent(self, client: Any, options: Any) -> Any:
        """A copy of the options that makes no span; the trace context still travels where it did."""
        if getattr(options, "span_name", None) is None:
            return options
        update: dict[str, Any] = {"span_name": None}
        settings = getattr(client, "_open_telemetry", None) or {}
        if settings.get("propagation") and getattr(client, "_tracer", None) is not None:
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            given = options.headers if isinstance(options.headers, Mapping) else {}
            update["headers"] = {**given, **carrier}
        return options.model_copy(update=update)

    def answer_facts(self, message: Fields) -> dict[str, Any]:
        """Which message it is and why it ended."""
        reason = message.get("stop_reason")
        return {
            names.GEN_AI_RESPONSE_ID: message.get("id"),
            names.GEN_AI_RESPONSE_MODEL: message.get("model"),
            names.GEN_AI_RESPONSE_FINISH_REASONS: [reason] if reason else None,
        }

    def output(self, message: Fields) -> list[dict[str, Any]]:
        """The one message of the one choice."""
        return output_messages(message) if message.get("content") else []

    def usage(self, message: Fields) -> Usage | None:
        """The API counts the classes of input apart; the convention's input is all of the prompt."""
        usage = message.get("usage")
        if not isinstance(usage, Mapping):
            return None
        fresh = usage.get("input_tokens")
        read = usage.get("cache_read_input_tokens")
        write = usage.get("cache_creation_input_tokens")
        split = usage.get("cache_creation") or {}
        return Usage(
            prompt=None if fresh is None else fresh + (read or 0) + (write or 0),
            output=usage.get("output_tokens"),
            cache_read=read,
            cache_write=write,
            reasoning=(usage.get("output_tokens_details") or {}).get("thinking_tokens"),
            raw={
                names.ANTHROPIC_CACHE_WRITE_5M_TOKENS: split.get("ephemeral_5m_input_tokens"),
                names.ANTHROPIC_CACHE_WRITE_1H_TOKENS: split.get("ephemeral_1h_input_tokens"),
            },
        )

    def problem(self, message: Fields) -> str | None:
        """An answer that failed is an error of the client's."""
        return None

    def error_facts(self, error: BaseException) -> dict[str, Any]:
        """The API's word for the error."""
        return {names.ANTHROPIC_ERROR_TYPE: getattr(error, "type", None)}

    def builder(self) -> Builder:
        """Gathers the events of one message."""
        return MessageBuilder()


class MessageBuilder:
    """The message so far, gathered from the events of a stream, as the API would have sent it whole."""

    def __init__(self) -> None:
        self.has_content = False
        self._stopped = False
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[tuple[int, str], list[str]] = {}

    def add(self, event: Any) -> None:
        """Take in one event; events of unknown kinds are passed over."""
        kind = getattr(event, "type", None)
        if kind == "message_start":
            self._message = dict(message_fields(event.message))
        elif kind == "content_block_start":
            self._blocks[event.index] = dict(message_fields(event.content_block))
        elif kind == "content_block_delta":
            self.has_content = True
            self._add_delta(event.index, event.delta)
        elif kind == "message_delta":
            self._message.update(message_fields(event.delta))
            usage = {
                key: value
                for key, value in message_fields(event.usage).items()
                if value is not None
            }
            self._message["usage"] = {**(self._message.get("usage") or {}), **usage}
        elif kind == "message_stop":
            self._stopped = True

    def ended(self) -> bool:
        """After ``message_stop`` nothing follows."""
        return self._stopped

    def complete(self) -> bool:
        """Nor is anything whole before."""
        return self._stopped

    def fields(self) -> Fields:
        """The message with the content that has come."""
        content = []
        for index, block in sorted(self._blocks.items()):
            whole = dict(block)
            for (place, field), pieces in self._pieces.items():
                if place == index:
                    whole[field] = _joined(field, whole.get(field), pieces)
            content.append(whole)
        return {**self._message, "content": content} if self._message else {}

    def _add_delta(self, index: int, delta: Any) -> None:
        if delta.type == "text_delta":
            self._pieces.setdefault((index, "text"), []).append(delta.text)
        elif delta.type == "thinking_delta":
            self._pieces.setdefault((index, "thinking"), []).append(delta.thinking)
        elif delta.type == "input_json_delta":
            self._pieces.setdefault((index, "input"), []).append(delta.partial_json)


def _joined(field: str, start: Any, pieces: list[str]) -> Any:
    text = "".join(pieces)
    if field != "input":
        return f"{start or ''}{text}"
    try:
        return json.loads(text) if text else start
    except ValueError:
        # An abandoned stream may break off in the middle of the arguments.
        return text
