"""Recorded payloads as text that fits a page: pretty, visible, bounded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tachograph_schemas import words

MOST_CHARS = 20_000
"""Of one payload; the rest is in the download."""


@dataclass(slots=True)
class Budget:
    """How much text one view may still hold, so that no span is too large for a page."""

    chars: int = 160_000

    def cut(self, text: str, most: int = MOST_CHARS) -> tuple[str, str]:
        """The beginning of ``text`` that fits, display-safe, and a sentence about the rest."""
        room = max(0, min(most, self.chars))
        kept = words.plain(text[:room], newlines=True)
        self.chars -= len(kept)
        rest = len(text) - room
        return kept, (f"{rest:,} more characters are in the download." if rest > 0 else "")


def parse_json(text: str) -> Any:
    """The value of JSON text; the text itself when it is none."""
    stripped = text.strip()
    if stripped[:1] not in {"{", "[", '"'}:
        return text
    try:
        return json.loads(stripped)
    except (ValueError, RecursionError):
        return text


def pretty(value: Any) -> tuple[str, bool]:
    """``value`` as text to read, and whether that is JSON."""
    if isinstance(value, str):
        inner = parse_json(value)
        if not isinstance(inner, dict | list):
            return (inner if isinstance(inner, str) else value), False
        value = inner
    try:
        if isinstance(value, dict) and any(_has_lines(item) for item in value.values()):
            return "\n".join(_field(key, item) for key, item in value.items()), False
        return json.dumps(value, indent=2, ensure_ascii=False), True
    except (ValueError, RecursionError):
        return str(value)[:MOST_CHARS], False


def _has_lines(item: Any) -> bool:
    return isinstance(item, str) and "\n" in item.strip()


def _field(key: str, item: Any) -> str:
    """One field of an object whose texts have lines: a program or a letter, not an escaped string."""
    if not _has_lines(item):
        return f"{key}: {json.dumps(item, indent=2, ensure_ascii=False)}"
    return f"{key}:\n" + "\n".join(f"  {line}" for line in item.strip("\n").split("\n"))


def code(title: str, payload: Any, budget: Budget) -> dict[str, Any]:
    """A payload under a heading: indented JSON, else its text; empty means not recorded."""
    text, is_json = ("", False) if payload is None or payload == "" else pretty(payload)
    kept, more = budget.cut(text)
    return {"kind": "code", "title": title, "text": kept, "more": more, "json": is_json}
