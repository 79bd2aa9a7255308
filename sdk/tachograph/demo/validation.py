"""The checks that the Messages API makes of a request before a model sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def invalid_reason(body: Mapping[str, Any], *, counting: bool = False) -> str | None:
    """What makes ``body`` invalid, as the API words it, or ``None``.

    ``counting`` is for ``count_tokens``, which needs no ``max_tokens``.
    """
    if not isinstance(body.get("model"), str):
        return "model: Field required"
    max_tokens = body.get("max_tokens")
    if not counting and (not isinstance(max_tokens, int) or isinstance(max_tokens, bool)):
        return "max_tokens: Field required"
    if not counting and isinstance(max_tokens, int) and max_tokens < 1:
        return "max_tokens: Input should be greater than or equal to 1"
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "messages: at least one message is required"
    return _tools_reason(body) or _messages_reason(messages)


def _tools_reason(body: Mapping[str, Any]) -> str | None:
    tools = body.get("tools") or []
    names = []
    for number, tool in enumerate(tools):
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            return f"tools.{number}.name: Field required"
        if "type" not in tool and not isinstance(tool.get("input_schema"), dict):
            return f"tools.{number}.input_schema: Field required"
        names.append(tool["name"])
    if len(set(names)) != len(names):
        return "tools: Tool names must be unique."
    choice = body.get("tool_choice") or {}
    if choice.get("type") == "tool" and choice.get("name") not in names:
        return f"tool_choice.name: Tool '{choice.get('name')}' not found in provided tools"
    return None


def _messages_reason(messages: list[Any]) -> str | None:
    open_calls: set[str] = set()
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in {"user", "assistant"}:
            return f"messages.{number}.role: Input should be 'user' or 'assistant'"
        content = message.get("content")
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        if not isinstance(content, list) or not all(
            isinstance(block, dict) and isinstance(block.get("type"), str) for block in content
        ):
            return f"messages.{number}.content: Input should be a valid string or a list of blocks"
        if not content or any(_is_empty_text(block) for block in content):
            return f"messages.{number}: text content blocks must be non-empty"
        results = {block.get("tool_use_id") for block in content if block["type"] == "tool_result"}
        if results - open_calls:
            return (
                f"messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{min(map(str, results - open_calls))}"
            )
        if open_calls - results:
            return (
                f"messages.{number}: `tool_use` ids were found without `tool_result` blocks "
                f"immediately after: {', '.join(sorted(open_calls))}"
            )
        open_calls = {str(block.get("id")) for block in content if block["type"] == "tool_use"}
    if messages[0]["role"] != "user":
        return 'messages: first message must use the "user" role'
    return None


def _is_empty_text(block: Mapping[str, Any]) -> bool:
    return block["type"] == "text" and not block.get("text")
