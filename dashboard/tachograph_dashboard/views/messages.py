"""The conversation in a model call, whatever shape its client gave it.

The convention's message JSON comes bent in many ways (arguments as text, results under other names, provider
formats as they are, attributes flattened one by one). What is recognised becomes messages of parts; what is not
is left to be shown as JSON or text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tachograph_dashboard.views.text import parse_json

PartKind = Literal["text", "thought", "call", "result", "media"]
_MAX_DEPTH = 12
_MAX_MESSAGES = 5_000

_ROLES = {
    "human": "user", "ai": "assistant", "model": "assistant", "developer": "system", "function": "tool",
    "HumanMessage": "user", "AIMessage": "assistant", "AIMessageChunk": "assistant",
    "SystemMessage": "system", "ToolMessage": "tool",
}  # fmt: skip
_CONTAINERS = (
    "messages", "choices", "generations", "candidates", "contents", "output", "outputs", "message", "prompt",
    "response", "history", "new_message",
)  # fmt: skip
_TEXT_TYPES = {"text", "input_text", "output_text", "refusal"}
_THOUGHT_TYPES = {"reasoning", "thinking", "redacted_thinking", "compaction"}
_CALL_TYPES = {
    "tool_call",
    "tool_use",
    "function_call",
    "tool-call",
    "server_tool_call",
    "server_tool_use",
}
_RESULT_TYPES = {
    "tool_call_response", "tool_result", "function_call_output", "tool-result", "server_tool_call_response",
    "function_response",
}  # fmt: skip
_MEDIA_TYPES = {"image", "image_url", "input_image", "blob", "file", "uri", "audio", "input_audio", "document", "video"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a message."""

    kind: PartKind
    text: Any
    """Text; for calls and results any JSON value."""
    name: str = ""
    """Of the tool called or answering."""
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """Who said what."""

    role: str
    """``system user assistant tool``, or what the client wrote."""
    parts: tuple[Part, ...]
    name: str = ""


def messages(payload: str, role: str) -> list[Message]:
    """The messages in a payload; ``role`` is whose words unattributed text is. Never raises on content."""
    value = parse_json(payload)
    if isinstance(value, str):
        return [Message(role, (Part("text", value),))] if value.strip() else []
    found = []
    for message in _walk(value, role, 0):
        if message.parts:
            found.append(message)
        if len(found) >= _MAX_MESSAGES:
            break
    return found


def flattened(attributes: Mapping[str, str], prefix: str, role: str) -> list[Message]:
    """The messages that a client wrote as one attribute a field: ``<prefix>.0.role`` and so on."""
    tree: dict[str, Any] = {}
    for key, text in attributes.items():
        if not key.startswith(prefix + "."):
            continue
        here = tree
        *way, last = key.removeprefix(prefix + ".").split(".")
        for step in way[:_MAX_DEPTH]:
            below = here.setdefault(step, {})
            if not isinstance(below, dict):
                break
            here = below
        else:
            here[last] = text
    listed = [tree[index] for index in sorted((k for k in tree if k.isdigit()), key=int)]
    return [
        message for item in listed for message in _walk(_listed(item), role, 0) if message.parts
    ]


def _listed(value: Any) -> Any:
    """Fields by number become a list, and the wrappers of the flattening disappear."""
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_listed(value[key]) for key in sorted(value, key=int)]
    plain = {key: _listed(item) for key, item in value.items()}
    for wrapper in ("message", "message_content", "tool_call"):
        if isinstance(plain.get(wrapper), dict):
            return plain[wrapper]
    if "contents" in plain and "content" not in plain:
        plain["content"] = plain.pop("contents")
    return plain


def _walk(value: Any, role: str, depth: int) -> Iterator[Message]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, str):
        if value.strip():
            yield Message(role, (Part("text", value),))
    elif isinstance(value, list):
        if value and all(_is_part(item) for item in value):
            yield Message(role, tuple(part for item in value for part in _parts(item)))
            return
        for item in value:
            yield from _walk(item, role, depth + 1)
    elif isinstance(value, dict):
        yield from _of_dict(value, role, depth)


def _of_dict(value: dict[str, Any], role: str, depth: int) -> Iterator[Message]:
    if isinstance(value.get("kwargs"), dict):
        name = value["id"][-1] if isinstance(value.get("id"), list) and value["id"] else ""
        yield from _of_dict({"role": name or role, **value["kwargs"]}, role, depth + 1)
        return
    said = value.get("role") or (value.get("type") if value.get("type") in _ROLES else None)
    if said or (("content" in value or "parts" in value) and not _is_part(value)):
        data = value["data"] if isinstance(value.get("data"), dict) else value
        parts = tuple(_message_parts(data))
        who = str(said) if said else role
        name = data.get("name")
        yield Message(_ROLES.get(who, who), parts, name if isinstance(name, str) else "")
        return
    if _is_part(value):
        yield Message(role, tuple(_parts(value)))
        return
    if isinstance(system := value.get("system"), str | list):
        yield from _walk(system, "system", depth + 1)
    for key in _CONTAINERS:
        if isinstance(value.get(key), dict | list | str):
            yield from _walk(
                parse_json(value[key]) if isinstance(value[key], str) else value[key],
                role,
                depth + 1,
            )
            return


def _message_parts(value: dict[str, Any]) -> Iterator[Part]:
    answers = str(value.get("tool_call_id") or "")
    content = value.get("parts") if isinstance(value.get("parts"), list) else value.get("content")
    if answers or value.get("role") in {"tool", "function"}:
        inner = (
            [part for item in content for part in _parts(item)] if isinstance(content, list) else []
        )
        if inner and all(part.kind == "result" for part in inner):
            yield from inner
        elif content is not None:
            yield Part("result", content, str(value.get("name") or ""), answers)
        return
    thought = value.get("reasoning_content") or value.get("thinking")
    if isinstance(thought, str) and thought:
        yield Part("thought", thought)
    for item in content if isinstance(content, list) else [content]:
        yield from _parts(item)
    calls = value.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        if isinstance(call, dict):
            yield _call(call)
    if isinstance(value.get("function_call"), dict):
        yield _call(value["function_call"])


def _is_part(value: Any) -> bool:
    if not isinstance(value, dict) or "role" in value:
        return False
    known = _TEXT_TYPES | _THOUGHT_TYPES | _CALL_TYPES | _RESULT_TYPES | _MEDIA_TYPES
    return value.get("type") in known or bool(
        {"function_call", "functionCall", "function_response"} & value.keys()
    )


def _parts(item: Any) -> Iterator[Part]:
    if item is None or item == "":
        return
    if isinstance(item, str):
        yield Part("text", item)
        return
    if not isinstance(item, dict):
        yield Part("text", str(item))
        return
    kind = item.get("type")
    inner = item.get("function_call") or item.get("functionCall")
    answer = item.get("function_response") or item.get("functionResponse")
    if isinstance(inner, dict):
        yield _call(inner)
    elif isinstance(answer, dict):
        yield Part("result", answer.get("response"), str(answer.get("name") or ""))
    elif kind in _CALL_TYPES:
        yield _call(item)
    elif kind in _RESULT_TYPES:
        yield _result(item)
    elif kind in _MEDIA_TYPES:
        yield Part("media", _media(item))
    elif kind in _THOUGHT_TYPES:
        if text := _text(item):
            yield Part("thought", text)
    elif text := _text(item):
        yield Part("text", text)
    elif item.keys() - {"type", "cache_control"}:
        yield Part("text", item)


def _text(item: dict[str, Any]) -> str:
    for key in ("content", "text", "thinking", "summary", "refusal", "output_text"):
        value = item.get(key)
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return "\n".join(_text(x) if isinstance(x, dict) else str(x) for x in value)
    return ""


def _call(item: dict[str, Any]) -> Part:
    inner = item["function"] if isinstance(item.get("function"), dict) else item
    arguments = next(
        (inner[key] for key in ("arguments", "args", "input", "server_tool_call") if key in inner),
        None,
    )
    name = inner.get("name") or item.get("tool_name") or item.get("toolName") or ""
    call_id = item.get("id") or item.get("call_id") or item.get("toolCallId") or ""
    return Part("call", arguments, str(name), str(call_id))


def _result(item: dict[str, Any]) -> Part:
    keys = ("response", "result", "content", "output", "server_tool_call_response")
    answer = next((item[key] for key in keys if key in item), None)
    call_id = (
        item.get("id")
        or item.get("tool_use_id")
        or item.get("call_id")
        or item.get("toolCallId")
        or ""
    )
    return Part("result", answer, str(item.get("name") or item.get("toolName") or ""), str(call_id))


def _media(item: dict[str, Any]) -> str:
    """What it is; the bytes themselves say nothing to a reader."""
    source = item["source"] if isinstance(item.get("source"), dict) else item
    kind = (
        source.get("mime_type")
        or source.get("media_type")
        or item.get("modality")
        or item.get("type")
    )
    data = source.get("content") or source.get("data") or ""
    size = f", {len(data) * 3 // 4:,} bytes" if isinstance(data, str) and data else ""
    return f"{kind}{size}, not shown"
