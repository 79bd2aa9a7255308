"""Columns and cells of a table of figures, as its component draws them."""

from __future__ import annotations

from typing import Any

from tachograph_schemas import words


def column(label: str, help_: str = "", *, number: bool = True, rank: int = 1) -> dict[str, Any]:
    """One column; ``rank``: columns of a higher rank leave first where there is little room."""
    return {"label": label, "help": help_, "number": number, "rank": rank}


def cell(text: str, tone: str = "", *, note: str = "", title: str = "") -> dict[str, Any]:
    unknown = text == words.UNKNOWN
    return {"text": text, "tone": "plain" if unknown else tone, "note": note, "title": title}
