"""A model call's conversation as what the details draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tachograph_dashboard.views import messages as parsing
from tachograph_dashboard.views.messages import Message, Part
from tachograph_dashboard.views.text import Budget, code, pretty
from tachograph_schemas import names, words
from tachograph_schemas.rows import SpanRow

_FIRST, _LAST = 3, 40
"""Of a long conversation its beginning and its end are shown."""
_WHO = {"system": "System", "user": "User", "assistant": "Model", "tool": "Tool result"}
_FLATTENED = (
    ("llm.input_messages", "llm.output_messages"),
    ("gen_ai.prompt", "gen_ai.completion"),
)
"""Prefixes under which clients write one attribute a field."""


def conversation(span: SpanRow, budget: Budget) -> list[dict[str, Any]]:
    """The blocks of a model call's messages: a conversation, or what was recorded as it is."""
    asked, answered = _asked(span), _answered(span)
    if not asked and not answered:
        if not span.input and not span.output:
            return [_say("The client recorded no messages for this call.")]
        return [code("Input", span.input, budget), code("Output", span.output, budget)]
    shown: list[dict[str, Any]] = []
    left_out = len(asked) - _FIRST - _LAST
    first = asked if left_out <= 0 else asked[:_FIRST]
    last: Sequence[Message] = [] if left_out <= 0 else asked[-_LAST:]
    shown += [_message(message, budget) for message in first]
    if last:
        text = f"{left_out:,} messages of the conversation are in the download."
        shown.append({"role": "plain", "who": "", "parts": [{"kind": "note", "text": text}]})
    shown += [_message(message, budget) for message in last]
    shown += [_message(message, budget, answer=True) for message in answered]
    if not answered:
        text = "Still being answered." if span.is_open else "No answer was recorded."
        shown.append({"role": "plain", "who": "", "parts": [{"kind": "note", "text": text}]})
    return [{"kind": "chat", "messages": shown}]


def _asked(span: SpanRow) -> list[Message]:
    found = parsing.messages(span.attributes.get(names.GEN_AI_SYSTEM_INSTRUCTIONS, ""), "system")
    if span.attributes.get(names.GEN_AI_INPUT_MESSAGES):
        return found + parsing.messages(span.input, "user")
    for prefix, _ in _FLATTENED:
        if flat := parsing.flattened(span.attributes, prefix, "user"):
            return found + flat
    return found + parsing.messages(span.input, "user")


def _answered(span: SpanRow) -> list[Message]:
    if span.attributes.get(names.GEN_AI_OUTPUT_MESSAGES):
        found = parsing.messages(span.output, "assistant")
        if found:
            return found
    for _, prefix in _FLATTENED:
        if flat := parsing.flattened(span.attributes, prefix, "assistant"):
            return flat
    return parsing.messages(span.output, "assistant")


def _message(message: Message, budget: Budget, *, answer: bool = False) -> dict[str, Any]:
    role = message.role if message.role in _WHO else "plain"
    if message.parts and all(part.kind == "result" for part in message.parts):
        role = "tool"
    who = _WHO.get(role, words.excerpt(message.role, 40) or "Message")
    if message.name and message.role != "tool":
        who += f", {words.excerpt(message.name, 60)}"
    if answer and role == "assistant":
        who = "Answer"
    parts = [_part(part, budget) for part in message.parts]
    return {"role": f"{role} answer" if answer else role, "who": who, "parts": parts}


def _part(part: Part, budget: Budget) -> dict[str, Any]:
    if part.kind == "media":
        return {"kind": "note", "text": words.excerpt(str(part.text), 200)}
    if part.kind == "text":
        text, more = budget.cut(part.text if isinstance(part.text, str) else pretty(part.text)[0])
        return {"kind": "text", "text": text, "more": more}
    if part.kind == "thought":
        text, more = budget.cut(str(part.text))
        return _boxed("Thinking", "", text, more, is_json=False)
    said, is_json = ("", False) if part.text is None else pretty(_unwrapped(part.text))
    text, more = budget.cut(said)
    name = words.excerpt(part.name, 100)
    title = f"Calls {name or 'a tool'}" if part.kind == "call" else (name or "Result")
    return _boxed(title, words.excerpt(part.call_id, 60), text, more, is_json=is_json)


def _boxed(title: str, call_id: str, text: str, more: str, *, is_json: bool) -> dict[str, Any]:
    return {
        "kind": "box",
        "title": title,
        "id": call_id,
        "text": text,
        "more": more,
        "json": is_json,
    }


def _unwrapped(value: Any) -> Any:
    """A result that is a list of text blocks reads as its text."""
    if isinstance(value, list) and value and all(_is_text(item) for item in value):
        return "\n".join(str(item.get("text", item.get("content"))) for item in value)
    return value


def _is_text(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and item.get("type") == "text"
        and bool(item.keys() & {"text", "content"})
    )


def _say(text: str) -> dict[str, Any]:
    return {"kind": "say", "text": text, "tone": "plain", "detail": ""}
