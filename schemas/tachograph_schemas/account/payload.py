"""Reading recorded payloads: whatever a client wrote, cut anywhere, into short text for people.

Clients bend the GenAI message JSON in every direction, and the account's query cuts payloads to a
length. Nothing here raises on content, recurses, or takes more than a bounded look.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tachograph_schemas.words import excerpt

MAX_CHARS = 20_000
"""More of a payload is not looked at."""
_MAX_NODES = 2_000
_MAX_DEPTH = 200
# A string, its closing quote in the group, or a mark. Possessive: an unclosed string is one token.
_MARK = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|[\[\]{},:]', re.DOTALL)
# An escape that the cut went through, but no whole ``\\`` before it; half a surrogate pair counts.
_HALF_ESCAPE = re.compile(
    r"(?<!\\)((?:\\\\)*)\\(?:u(?:[0-9a-fA-F]{0,3}|[dD][89abAB][0-9a-fA-F]{2}))?$"
)
_CLOSERS = {"[": "]", "{": "}"}


def parse(text: str) -> Any:
    """The JSON in ``text``, also when its end is cut off; other text as it is."""
    text = text[:MAX_CHARS]
    if text[:1] not in {"[", "{", '"'}:
        return text
    try:
        value = json.loads(text)
    except RecursionError:
        return text
    except ValueError:
        value = _parse_cut(text)
    # Clients that put JSON strings into JSON are common; twice is enough.
    if text[0] == '"' and isinstance(value, str) and value[:1] in {"[", "{"}:
        return parse(value)
    return value


def _parse_cut(text: str) -> Any:
    stack: list[str] = []
    safe, before, in_value = 0, "", False
    for match in _MARK.finditer(text):
        mark = match.group()
        if mark in _CLOSERS:
            stack.append(_CLOSERS[mark])
            safe = match.end()
        elif mark in {"]", "}"}:
            if not stack or stack.pop() != mark:
                return text
            safe = match.end()
        elif mark == ",":
            safe = match.start()
        elif mark != ":" and not _is_key(before, stack):
            in_value = not match.group(1)
            safe = match.end()
        before = mark
    if not stack or len(stack) > _MAX_DEPTH:
        return text
    kept = _HALF_ESCAPE.sub(r"\1", text) + '…"' if in_value else text[:safe]
    try:
        return json.loads(kept + "".join(reversed(stack)))
    except (ValueError, RecursionError):
        return text


def _is_key(before: str, stack: list[str]) -> bool:
    return bool(stack) and stack[-1] == "}" and before in {"{", ","}


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A tool call as the model asked for it."""

    name: str
    arguments: Any
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: str
    """``system user assistant tool``, or empty when not said."""
    text: str
    requests: tuple[ToolRequest, ...] = ()


_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "developer": "system"}
_KNOWN_ROLES = {"system", "user", "assistant", "tool", "function", *_ROLES}
# Where messages hide inside what clients write, in the order to look.
_CONTAINERS = (
    "messages", "message", "choices", "generations", "candidates", "contents", "output", "outputs",
    "response", "update", "new_message", "history", "prompt",
)  # fmt: skip
_CALL_TYPES = {"tool_call", "tool_use", "function_call", "tool-call", "server_tool_call"}
_RESULT_TYPES = {"tool_call_response", "tool_result", "function_call_output", "tool-result"}
_SILENT_TYPES = {"reasoning", "thinking", "redacted_thinking"}


def messages(text: str) -> list[Message]:
    """The messages in a model's recorded input or output, in order; plain text is one message."""
    value = parse(text)
    if isinstance(value, str):
        return [Message("", value)] if value.strip() else []
    return list(_messages(value))


def _messages(value: Any) -> Iterator[Message]:
    stack, seen = [value], 0
    while stack and seen < _MAX_NODES:
        item = stack.pop()
        seen += 1
        if isinstance(item, str):
            yield Message("", item)
        elif isinstance(item, list):
            pair = len(item) == 2 and all(isinstance(part, str) for part in item)
            if pair and item[0] in _KNOWN_ROLES:
                yield Message(_role(item[0]), item[1])
            else:
                stack.extend(reversed(item))
        elif isinstance(item, dict):
            inner = _unwrapped(item)
            if inner is not item:
                stack.append(inner)
            elif _is_message(item):
                yield _message(item)
            else:
                stack.extend(
                    reversed([item[k] for k in _CONTAINERS if isinstance(item.get(k), list | dict | str)])
                )  # fmt: skip


def _unwrapped(item: dict[str, Any]) -> dict[str, Any]:
    """The message inside a framework's serialised object."""
    for key in ("kwargs", "data", "content"):
        inner = item.get(key)
        if isinstance(inner, dict) and ("content" in inner or "parts" in inner):
            kind = item.get("type")
            said = {"role": kind} if isinstance(kind, str) and kind in _KNOWN_ROLES else {}
            return said | inner
    return item


def _is_message(item: dict[str, Any]) -> bool:
    if item.get("type") in _CALL_TYPES:
        return True
    if isinstance(item.get("message"), dict):
        return False
    said = item.get("role") or item.get("type")
    return (isinstance(said, str) and said in _KNOWN_ROLES) or any(
        isinstance(item.get(key), list | str) for key in ("parts", "content", "tool_calls")
    )


def _role(said: Any) -> str:
    return _ROLES.get(said, said) if isinstance(said, str) else ""


def _message(item: dict[str, Any]) -> Message:
    role = item.get("role") or item.get("type")
    body = item.get("parts") or item.get("content") or item.get("text") or ""
    parts = body if isinstance(body, list) else [body]
    texts: list[str] = []
    requests: list[ToolRequest] = []
    for part in parts[:_MAX_NODES] if item.get("type") not in _CALL_TYPES else [item]:
        _read_part(part, texts, requests)
    extra = item.get("additional_kwargs")
    calls = item.get("tool_calls") or (extra.get("tool_calls") if isinstance(extra, dict) else None)
    if isinstance(calls, list) and not requests:
        requests.extend(filter(None, (_request(call) for call in calls[:_MAX_NODES])))
    known = role if role in _KNOWN_ROLES else ""
    return Message(_role(known), "\n".join(filter(None, texts)), tuple(requests))


def _read_part(part: Any, texts: list[str], requests: list[ToolRequest]) -> None:
    if isinstance(part, str):
        texts.append(part)
        return
    if not isinstance(part, dict):
        return
    kind = part.get("type")
    google = part.get("functionCall") or part.get("function_call")
    if kind in _CALL_TYPES or isinstance(google, dict):
        request = _request(google if isinstance(google, dict) else part)
        if request:
            requests.append(request)
    elif kind in _RESULT_TYPES:
        answer = part.get("response", part.get("result", part.get("content", part.get("output"))))
        texts.append(_flat(answer))
    elif kind not in _SILENT_TYPES:
        said = part.get("content", part.get("text"))
        texts.append(_flat(said) if said is not None else f"[{kind}]" if kind else "")


def _flat(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        texts = [part.get("text", part.get("content")) for part in value if isinstance(part, dict)]
        said = [text for text in texts if isinstance(text, str)]
        if said and len(said) == len(texts):
            return "\n".join(said)
    return _compact(value)


def _request(part: Any) -> ToolRequest | None:
    if not isinstance(part, dict):
        return None
    inner = part.get("function")
    body = inner if isinstance(inner, dict) else part
    name = body.get("name") or part.get("toolName")
    if not isinstance(name, str) or not name:
        return None
    arguments = next((body[k] for k in ("arguments", "args", "input") if k in body), None)
    call_id = part.get("id") or part.get("call_id") or part.get("toolCallId") or ""
    return ToolRequest(name, arguments, call_id if isinstance(call_id, str) else "")


def _compact(value: Any) -> str:
    if value is None:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return ""


# --- short text ---------------------------------------------------------------------------------

# Parameters that connect a call with the model's request and tell a person nothing.
_BOOKKEEPING = {"call_id", "tool_call_id"}
_PLAIN = 10**18
_SHORT = 48
"""Characters that every argument may take, however many there are."""
# Names of a parameter that carries the task, the most telling first.
_TASK_KEYS = (
    "goal", "task", "question", "query", "q", "prompt", "message", "user_input", "input", "text",
)  # fmt: skip


def task(text: str, chars: int = 400) -> str:
    """What was asked: the parameter that carries the task, or the first user message; else empty."""
    value = parse(text)
    if isinstance(value, str):
        return excerpt(value, chars)
    if isinstance(value, Mapping):
        inner = [each for each in value.values() if isinstance(each, Mapping)]
        for given in [value, *inner[:8]]:
            for key in _TASK_KEYS:
                said = given.get(key)
                if isinstance(said, str) and said.strip():
                    return excerpt(said, chars)
        # As Langfuse's @observe records a call.
        words = value.get("args")
        if "kwargs" in value and isinstance(words, list) and words and isinstance(words[0], str):
            return excerpt(words[0], chars)
    for message in _messages(value):
        if message.role in {"user", ""} and message.text.strip():
            return excerpt(message.text, chars)
    return ""


def answer(text: str, chars: int = 400) -> str:
    """What was answered: the last message with text, or the value itself."""
    value = parse(text)
    if isinstance(value, str):
        return "" if value.strip() in {"null", "None"} else excerpt(value, chars)
    if isinstance(value, list) and _is_texts(value):
        return excerpt(_together(value), chars)
    said = [message for message in _messages(value) if message.text.strip()]
    if said:
        return excerpt(said[-1].text, chars)
    return excerpt(_compact(value), chars) if value not in (None, {}, []) else ""


def _is_texts(value: list[Any]) -> bool:
    """Whether it is a list of strings, as a generator gives, and no ``[role, text]``."""
    if not value or not all(isinstance(each, str) for each in value):
        return False
    return not (len(value) == 2 and value[0] in _KNOWN_ROLES)


def _together(texts: list[str]) -> str:
    # Pieces of one text carry its spaces; names and numbers in a list do not.
    pieces = any(text[:1].isspace() or text[-1:].isspace() for text in texts)
    return ("" if pieces else ", ").join(text for text in texts if text)


def call(name: str, given: Any, chars: int = 120) -> str:
    """``lookup_order(order_id='A-1007')``: a tool call in at most about ``chars`` characters."""
    return f"{excerpt(name, 80)}({arguments(given, chars)})"


def arguments(given: Any, chars: int = 120) -> str:
    """Arguments as ``name=value``, long values cut; text that is not JSON as one quoted value."""
    if isinstance(given, str):
        given = parse(given)
    if isinstance(given, Mapping):
        given = _without_wrapping(given)
        each = max(chars // max(len(given), 1) - 12, _SHORT)
        shown = list(given)[:24]
        return _listed(
            [f"{excerpt(str(key), 40)}={_short(given[key], each)}" for key in shown], chars
        )
    if isinstance(given, list):
        each = max(chars // max(len(given), 1) - 2, _SHORT)
        return _listed([_short(value, each) for value in given[:24]], chars)
    return "" if given is None or given == "" else _short(given, max(chars - 2, 8))


def _without_wrapping(given: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Named arguments out of ``{"args": [], "kwargs": {...}}``, as instrumentations record calls."""
    given = {key: value for key, value in given.items() if key not in _BOOKKEEPING}
    inner = given.get("kwargs")
    if isinstance(inner, Mapping) and set(given) <= {"args", "kwargs", "sanitize_inputs_outputs"}:
        positional = given.get("args")
        rows = positional if isinstance(positional, list) else []
        return {f"#{at + 1}": value for at, value in enumerate(rows)} | dict(inner)
    return given


def _listed(parts: list[str], chars: int) -> str:
    kept: list[str] = []
    used = 0
    for part in parts:
        used += len(part) + 2
        if kept and used > chars:
            return ", ".join([*kept, "…"])
        kept.append(part)
    return ", ".join(kept)


def _short(value: Any, chars: int) -> str:
    if isinstance(value, str):
        return f"'{excerpt(value, chars)}'"
    if isinstance(value, int) and -_PLAIN < value < _PLAIN:
        return str(value).lower()
    return excerpt(_compact(value), chars)
