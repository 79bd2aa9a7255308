"""Requests and answers of the Messages API in the message JSON of the GenAI convention."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

_MODALITY = {"image": "image", "document": "document", "audio": "audio", "video": "video"}


def system_instructions(system: Any) -> list[dict[str, Any]]:
    """``system`` as parts."""
    return _parts(system)


def input_messages(messages: Any) -> list[dict[str, Any]]:
    """``messages`` with their parts. A message of tool results alone has the role ``tool``."""
    if not isinstance(messages, list | tuple):
        return []
    converted = []
    for message in messages:
        parts = _parts(message.get("content"))
        results = bool(parts) and all(part["type"] == "tool_call_response" for part in parts)
        role = "tool" if results else message.get("role")
        converted.append({"role": role, "parts": parts})
    return converted


def output_messages(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The answer as the one message of its one choice."""
    converted = {"role": "assistant", "parts": _parts(message.get("content"))}
    if message.get("stop_reason"):
        converted["finish_reason"] = message["stop_reason"]
    return [converted]


def tool_definitions(tools: Any) -> list[dict[str, Any]]:
    """The tools on offer. Tools that the provider runs keep their own type."""
    if not isinstance(tools, list | tuple):
        return []
    definitions = []
    for tool in tools:
        if "input_schema" in tool:
            definition = {
                "type": "function",
                "name": tool.get("name"),
                "description": tool.get("description"),
                "parameters": tool["input_schema"],
            }
            definitions.append({key: value for key, value in definition.items() if value})
        else:
            definitions.append(dict(tool))
    return definitions


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    if not isinstance(content, Iterable):
        return []
    return [_part(block) for block in content if isinstance(block, Mapping)]


def _part(block: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(block.get("type"))
    if kind == "text":
        return {"type": "text", "content": block.get("text")}
    if kind == "thinking":
        return {"type": "reasoning", "content": block.get("thinking")}
    if kind == "tool_use":
        return {
            "type": "tool_call",
            "id": block.get("id"),
            "name": block.get("name"),
            "arguments": block.get("input"),
        }
    if kind == "tool_result":
        return _tool_result(block)
    if kind in {"server_tool_use", "mcp_tool_use"}:
        call = {"type": block.get("name"), "input": block.get("input")}
        part = {"type": "server_tool_call", "id": block.get("id"), "name": block.get("name")}
        return {**part, "server_tool_call": call}
    if kind.endswith("_tool_result"):
        return {
            "type": "server_tool_call_response",
            "id": block.get("tool_use_id"),
            "server_tool_call_response": {"type": kind, "content": block.get("content")},
        }
    if kind in _MODALITY:
        return _media(kind, block.get("source") or {})
    return {key: value for key, value in block.items() if key not in {"cache_control", "data"}}


def _tool_result(block: Mapping[str, Any]) -> dict[str, Any]:
    content = block.get("content", "")
    part: dict[str, Any] = {
        "type": "tool_call_response",
        "id": block.get("tool_use_id"),
        "response": content if isinstance(content, str) else _parts(content),
    }
    if block.get("is_error"):
        part["is_error"] = True
    return part


def _media(kind: str, source: Mapping[str, Any]) -> dict[str, Any]:
    """Where media came from. Bytes are named by their digest: a span is no place for a picture."""
    modality = _MODALITY[kind]
    if source.get("type") == "url":
        return {"type": "uri", "modality": modality, "uri": source.get("url")}
    if source.get("type") == "file":
        return {"type": "file", "modality": modality, "file_id": source.get("file_id")}
    if source.get("type") == "text":
        return {"type": "text", "content": source.get("data")}
    data = str(source.get("data") or "")
    return {
        "type": "blob",
        "modality": modality,
        "mime_type": source.get("media_type"),
        "size_chars": len(data),
        "sha256": hashlib.sha256(data.encode()).hexdigest(),
    }
