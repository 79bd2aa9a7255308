"""The Chat Completions API: what its requests, answers and streams say."""

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
    "max_completion_tokens": names.GEN_AI_REQUEST_MAX_TOKENS,
    "temperature": names.GEN_AI_REQUEST_TEMPERATURE,
    "top_p": names.GEN_AI_REQUEST_TOP_P,
    "service_tier": names.OPENAI_REQUEST_SERVICE_TIER,
}
_INSTRUCTING = ("system", "developer")


class ChatCompletions(OpenAIDialect):
    """``POST /chat/completions``."""

    def request_facts(self, body: Fields) -> dict[str, Any]:
        """Sampling and limits."""
        facts = {attribute: body.get(field) for field, attribute in _REQUEST_FIELDS.items()}
        if body.get("max_tokens") is not None:
            facts[names.GEN_AI_REQUEST_MAX_TOKENS] = body["max_tokens"]
        stop = body.get("stop")
        if stop:
            facts[names.GEN_AI_REQUEST_STOP_SEQUENCES] = [stop] if isinstance(stop, str) else stop
        return {**facts, names.OPENAI_API_TYPE: "chat_completions"}

    def request_payloads(self, body: Fields) -> Iterable[tuple[str, Any]]:
        """What the model is shown. Instructions are messages of a role of their own."""
        given = body.get("messages")
        messages = [
            message
            for message in (given if isinstance(given, list | tuple) else ())
            if isinstance(message, Mapping)
        ]
        instructions = [
            part
            for message in messages
            if message.get("role") in _INSTRUCTING
            for part in parts_of(message.get("content"))
        ]
        shown = [_message(m) for m in messages if m.get("role") not in _INSTRUCTING]
        return (
            (names.GEN_AI_SYSTEM_INSTRUCTIONS, instructions),
            (names.GEN_AI_INPUT_MESSAGES, shown),
            (names.GEN_AI_TOOL_DEFINITIONS, tool_definitions(body.get("tools"))),
        )

    def answer_facts(self, message: Fields) -> dict[str, Any]:
        """Which answer it is and why its choices ended."""
        reasons = [choice.get("finish_reason") for choice in _choices(message)]
        return {
            names.GEN_AI_RESPONSE_ID: message.get("id"),
            names.GEN_AI_RESPONSE_MODEL: message.get("model"),
            names.GEN_AI_RESPONSE_FINISH_REASONS: [reason for reason in reasons if reason] or None,
            names.OPENAI_RESPONSE_SERVICE_TIER: message.get("service_tier"),
        }

    def output(self, message: Fields) -> list[dict[str, Any]]:
        """One message a choice."""
        converted = []
        for choice in _choices(message):
            answer = _message({"role": "assistant", **(choice.get("message") or {})})
            if choice.get("finish_reason"):
                answer["finish_reason"] = choice["finish_reason"]
            converted.append(answer)
        return converted

    def usage(self, message: Fields) -> Usage | None:
        """This API counts as the convention does: cached and reasoning tokens are parts of the sums."""
        usage = message.get("usage")
        if not isinstance(usage, Mapping):
            return None
        prompt = usage.get("prompt_tokens_details") or {}
        return Usage(
            prompt=usage.get("prompt_tokens"),
            output=usage.get("completion_tokens"),
            cache_read=prompt.get("cached_tokens"),
            cache_write=prompt.get("cache_write_tokens"),
            reasoning=(usage.get("completion_tokens_details") or {}).get("reasoning_tokens"),
        )

    def problem(self, message: Fields) -> str | None:
        """An answer that failed is an error of the client's."""
        return None

    def builder(self) -> Builder:
        """Gathers the chunks of one completion."""
        return ChunkBuilder()


class ChunkBuilder:
    """The completion so far. Its usage, if asked for, comes in a last chunk without choices."""

    def __init__(self) -> None:
        self.has_content = False
        self._whole: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}

    def add(self, event: Any) -> None:
        """Take in one chunk."""
        chunk = message_fields(event)
        self._whole.update(
            {key: value for key, value in chunk.items() if key != "choices" and value is not None}
        )
        for choice in chunk.get("choices") or ():
            known = self._choices.setdefault(choice.get("index", 0), {"text": {}, "calls": {}})
            if choice.get("finish_reason"):
                known["finish_reason"] = choice["finish_reason"]
            self._add_delta(known, choice.get("delta") or {})

    def ended(self) -> bool:
        """Only the end of the stream is sure: a chunk with the usage may follow any other."""
        return False

    def complete(self) -> bool:
        """Whether every choice has said why it ended."""
        return bool(self._choices) and all(
            "finish_reason" in choice for choice in self._choices.values()
        )

    def fields(self) -> Fields:
        """The completion with the content that has come."""
        choices = []
        for index, known in sorted(self._choices.items()):
            message = {field: "".join(pieces) for field, pieces in known["text"].items()}
            calls = [
                {**call, "function": {**call["function"], "arguments": "".join(call["arguments"])}}
                for _, call in sorted(known["calls"].items())
            ]
            choices.append(
                {
                    "index": index,
                    "finish_reason": known.get("finish_reason"),
                    "message": {**message, "tool_calls": calls},
                }
            )
        return {**self._whole, "choices": choices} if self._whole else {}

    def _add_delta(self, known: dict[str, Any], delta: Fields) -> None:
        for field in ("content", "refusal", "reasoning_content"):
            piece = delta.get(field)
            if isinstance(piece, str):
                known["text"].setdefault(field, []).append(piece)
                self.has_content = self.has_content or bool(piece)
        for piece in delta.get("tool_calls") or ():
            self.has_content = True
            place = piece.get("index", 0)
            call = known["calls"].setdefault(place, {"function": {}, "arguments": []})
            function = piece.get("function") or {}
            if piece.get("id"):
                call["id"] = piece["id"]
            if function.get("name"):
                call["function"]["name"] = function["name"]
            call["arguments"].append(function.get("arguments") or "")


def _choices(message: Fields) -> list[Any]:
    choices = message.get("choices")
    return choices if isinstance(choices, list) else []


def _message(message: Fields) -> dict[str, Any]:
    role = message.get("role")
    if role == "tool":
        content = message.get("content")
        response = content if isinstance(content, str) else parts_of(content)
        part = {"type": "tool_call_response", "id": message.get("tool_call_id")}
        return {"role": role, "parts": [{**part, "response": response}]}
    parts: list[dict[str, Any]] = []
    # Hosts that speak this protocol put the thoughts of their models there.
    if isinstance(message.get("reasoning_content"), str):
        parts.append({"type": "reasoning", "content": message["reasoning_content"]})
    parts += parts_of(message.get("content"))
    if message.get("refusal"):
        parts.append({"type": "refusal", "content": message["refusal"]})
    for call in message.get("tool_calls") or ():
        function = call.get("function") or call.get("custom") or {}
        arguments = function.get("arguments", function.get("input"))
        parts.append(tool_call_part(call.get("id"), function.get("name"), arguments))
    return {"role": role, "parts": parts}
