"""Answers of the bundled model server in the wire shapes of the Messages API: JSON and events."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tachograph.demo.conversation import Block, Text, Thinking, ToolCall
from tachograph.demo.prompt_cache import (
    CHARACTERS_PER_TOKEN,
    PromptUsage,
    canonical,
    text_tokens,
)

Event = tuple[str, dict[str, Any]]

_BLOCK_OVERHEAD_TOKENS = 3
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_PIECE_CHARACTERS = 24


def stable_id(prefix: str, *parts: str) -> str:
    """An id such as ``msg_01...`` that depends on ``parts`` alone."""
    number = int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:18], "big")
    digits = []
    while number:
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return f"{prefix}_01{''.join(digits)[:22]}"


def message_of(
    blocks: Sequence[Block], prompt: PromptUsage, body: Mapping[str, Any], message_id: str
) -> dict[str, Any]:
    """The ``message`` object: ``blocks`` cut to the request's limits, with usage and stop reason."""
    if (body.get("thinking") or {}).get("type") not in {"enabled", "adaptive"}:
        blocks = [block for block in blocks if not isinstance(block, Thinking)]
    blocks, stop_reason, stop_sequence = _limited(blocks, body)
    content = [
        _content_block(block, f"{message_id}/{number}") for number, block in enumerate(blocks)
    ]
    thinking_tokens = sum(_tokens(block) for block in blocks if isinstance(block, Thinking))
    usage = {
        **prompt.as_usage(),
        "output_tokens": sum(_tokens(block) for block in blocks) or 1,
        "service_tier": "standard",
    }
    if thinking_tokens:
        usage["output_tokens_details"] = {"thinking_tokens": thinking_tokens}
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": stop_sequence,
        "usage": usage,
    }


def events_of(message: Mapping[str, Any]) -> Iterator[Event]:
    """The events that stream ``message``, in the order of the real API."""
    usage = message["usage"]
    opening = {
        **message,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": 1},
    }
    opening["usage"].pop("output_tokens_details", None)
    yield "message_start", {"type": "message_start", "message": opening}
    yield "ping", {"type": "ping"}
    for index, block in enumerate(message["content"]):
        yield (
            "content_block_start",
            {"type": "content_block_start", "index": index, "content_block": _empty(block)},
        )
        for delta in _deltas(block):
            yield (
                "content_block_delta",
                {"type": "content_block_delta", "index": index, "delta": delta},
            )
        yield "content_block_stop", {"type": "content_block_stop", "index": index}
    final = {key: value for key, value in usage.items() if key.endswith(("_tokens", "_details"))}
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    yield "message_delta", {"type": "message_delta", "delta": delta, "usage": final}
    yield "message_stop", {"type": "message_stop"}


def error_body(error_type: str, message: str, request_id: str) -> dict[str, Any]:
    """The body of an error answer."""
    return {
        "type": "error",
        "error": {"type": error_type, "message": message},
        "request_id": request_id,
    }


def _limited(
    blocks: Sequence[Block], body: Mapping[str, Any]
) -> tuple[list[Block], str, str | None]:
    """Cut ``blocks`` at the first stop sequence and at ``max_tokens``."""
    kept: list[Block] = []
    left_tokens = int(body["max_tokens"])
    for block in blocks:
        if isinstance(block, Text):
            found = [stop for stop in body.get("stop_sequences") or () if stop in block.text]
            if found:
                first = min(found, key=block.text.index)
                kept.append(Text(block.text[: block.text.index(first)]))
                return kept, "stop_sequence", first
        if _tokens(block) > left_tokens:
            if isinstance(block, Text) and left_tokens > _BLOCK_OVERHEAD_TOKENS:
                room = (left_tokens - _BLOCK_OVERHEAD_TOKENS) * CHARACTERS_PER_TOKEN
                kept.append(Text(block.text[:room]))
            return kept, "max_tokens", None
        left_tokens -= _tokens(block)
        kept.append(block)
    calls = any(isinstance(block, ToolCall) for block in kept)
    return kept, "tool_use" if calls else "end_turn", None


def _tokens(block: Block) -> int:
    text = canonical(block.input) if isinstance(block, ToolCall) else block.text
    return text_tokens(text) + _BLOCK_OVERHEAD_TOKENS


def _content_block(block: Block, place: str) -> dict[str, Any]:
    if isinstance(block, Text):
        return {"type": "text", "text": block.text}
    if isinstance(block, Thinking):
        signature = hashlib.sha256(block.text.encode()).hexdigest()
        return {"type": "thinking", "thinking": block.text, "signature": signature}
    return {
        "type": "tool_use",
        "id": stable_id("toolu", place),
        "name": block.name,
        "input": dict(block.input),
    }


def _empty(block: Mapping[str, Any]) -> dict[str, Any]:
    blank: dict[str, Any] = {"text": "", "thinking": "", "signature": "", "input": {}}
    return {key: blank.get(key, value) for key, value in block.items()}


def _deltas(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if block["type"] == "text":
        for piece in _pieces(block["text"]):
            yield {"type": "text_delta", "text": piece}
    elif block["type"] == "thinking":
        for piece in _pieces(block["thinking"]):
            yield {"type": "thinking_delta", "thinking": piece}
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        yield {"type": "input_json_delta", "partial_json": ""}
        for piece in _pieces(canonical(block["input"])):
            yield {"type": "input_json_delta", "partial_json": piece}


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), _PIECE_CHARACTERS):
        yield text[start : start + _PIECE_CHARACTERS]
