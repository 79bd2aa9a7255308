"""Output for people: how wide the terminal is, whether it has colours, text cut to its cells."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, TextIO

from tachograph_schemas.words import ELLIPSIS, plain

_CODES = {"good": "32", "warn": "33", "bad": "31", "waiting": "35", "bold": "1", "dim": "2"}
_WIDEST = 200


class Paint:
    """Colours text, or leaves it as it is."""

    def __init__(self, *, on: bool) -> None:
        self.on = on

    def __call__(self, text: str, style: str) -> str:
        """``text`` in ``style``: a tone, ``bold`` or ``dim``; unknown styles change nothing."""
        code = _CODES.get(style) if self.on else None
        return f"\x1b[{code}m{text}\x1b[0m" if code and text else text


def note(sentence: str) -> None:
    """Say something beside the answer of a command, which goes on."""
    print(f"tacho: {plain(sentence)}", file=sys.stderr)


def paint_for(stream: TextIO) -> Paint:
    """Colours on a terminal, unless NO_COLOR is set or it is a dumb one."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Paint(on=wanted and stream.isatty())


def width(given: int | None = None) -> int:
    """The columns to fill: as asked, else the terminal's, 100 where there is none."""
    columns = given or shutil.get_terminal_size((100, 24)).columns
    return max(40, min(columns, _WIDEST))


def cells(text: str) -> int:
    """How many columns ``text`` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_cell(character) for character in text)


def _cell(character: str) -> int:
    if unicodedata.combining(character) or character in "\u200d\ufe0e\ufe0f":
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def fit(text: str, columns: int, *, right: bool = False) -> str:
    """``text`` in exactly ``columns`` columns: padded, or cut with an ellipsis."""
    taken = cells(text)
    if taken > columns:
        kept, used = [], 0
        for character in text:
            size = _cell(character)
            if used + size > columns - 1:
                break
            kept.append(character)
            used += size
        text = "".join(kept) + ELLIPSIS
        taken = used + 1
    padding = " " * (columns - taken)
    return padding + text if right else text + padding


def wrapped(text: str, columns: int, indent: str = "", first: str | None = None) -> list[str]:
    """``text`` over as many lines as it needs, made display-safe, the following lines indented."""
    lines = textwrap.wrap(
        plain(text),
        max(columns, 20),
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
    return lines or [indent if first is None else first]


def columns_of(row: Any) -> dict[str, Any]:
    """A row of :mod:`tachograph_schemas.rows` as JSON-ready values by column."""
    return {column.name: json_ready(getattr(row, column.name)) for column in fields(row)}


def json_ready(value: Any) -> Any:
    """Times as ISO 8601 in UTC, mappings and sequences as JSON has them."""
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat()
    if isinstance(value, Mapping):
        return {str(key): json_ready(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(each) for each in value]
    return value


def print_json(value: Any) -> None:
    """One JSON document on standard output; ASCII only, so that no content can steer a terminal."""
    print(json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False))


def print_lines(lines: Iterable[str]) -> None:
    """Lines on standard output, in one write."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def at_most(limit: int) -> Callable[[str], int]:
    """The type of an option such as ``--limit``: a number from 1 to ``limit``."""

    def number(text: str) -> int:
        value = int(text) if text.isdecimal() else 0
        if not 1 <= value <= limit:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {limit}")
        return value

    return number
