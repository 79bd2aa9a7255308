"""What somebody else has changed while a form was open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tachograph_schemas import words

_BESIDE = {
    "firing",
    "id",
    "version",
    "updated_ns",
    "updated_by",
    "summary",
    "states",
    "snoozed_until_ns",
}
_CHARS = 120


def told(why: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Who was faster, what it says now, and what a second press does. Plain text; ``now`` is empty when it is gone."""
    names = [name for name in now if name not in _BESIDE and before.get(name) != now[name]]
    lines = [f"{name}: {_said(before.get(name))} → {_said(now[name])}" for name in sorted(names)]
    if not before:
        lines = [f"{name}: {_said(now[name])}" for name in sorted(names)]
    again = (
        "What you typed is kept. Save again to put it in the place of that."
        if now
        else "What you typed is kept. Save again to make it anew."
    )
    return "\n".join([why, *lines, again])


def _said(value: object) -> str:
    if value in (None, "", [], {}):
        return "none"
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    return words.excerpt(str(value), _CHARS)
