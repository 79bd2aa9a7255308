"""The one table that every command prints: dim headings, aligned columns, never wider than the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tachograph.cli.terminal import Paint, cells, fit, paint_for, width
from tachograph_schemas.words import at_point, plain

_GAP = "  "
_NARROWEST_REST = 24
"""The cells that the flexible column wants before others are left out for it."""
_LEAST_REST = 10


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    widest: int = 0
    """At most so many cells; 0: what is left of the line. One column of a table is so."""
    right: bool = False
    spared: int = 0
    """Columns with a higher number are left out first when the terminal is narrow; 0 always stays."""
    is_money: bool = False
    """Its decimal points stand below each other."""
    optional: bool = False
    """Left out when no row has anything in it."""


Cell = str | tuple[str, str]
"""A text, or a text and the style it is painted in."""


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], total: int, paint: Paint
) -> list[str]:
    """Rows as aligned, display-safe lines of at most ``total`` cells under a heading; a cell for each column."""
    texts = [[plain(_text(cell)) for cell in row] for row in rows]
    for at, column in enumerate(columns):
        if column.is_money:
            align(texts, at, column.widest)
    shown = [
        at
        for at, column in enumerate(columns)
        if not column.optional or any(line[at] for line in texts)
    ]
    sizes = _sizes(columns, texts, shown, total)

    def line(parts: Sequence[str], styles: Sequence[str]) -> str:
        fitted = (
            paint(fit(parts[at], sizes[at], right=columns[at].right), styles[at]) for at in shown
        )
        return _GAP.join(fitted).rstrip()

    unstyled = [""] * len(columns)
    heading = line([column.title for column in columns], unstyled)
    styled = [[_style(cell) for cell in row] for row in rows]
    return [paint(heading, "dim"), *map(line, texts, styled)]


def align(texts: Sequence[list[str]], at: int, widest: int = 0) -> None:
    """Put the decimal points of one column below each other, unless that takes more than ``widest`` cells."""
    aligned = at_point([row[at] for row in texts])
    if widest and any(cells(text) > widest for text in aligned):
        return
    for row, text in zip(texts, aligned, strict=True):
        row[at] = text


def listed(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """A table for standard output as it is: as wide as the terminal, in its colours."""
    return table(columns, rows, width(), paint_for(sys.stdout))


def _sizes(
    columns: Sequence[Column], texts: Sequence[Sequence[str]], shown: list[int], total: int
) -> dict[int, int]:
    """Cells by column; takes those out of ``shown`` that the line has no room for."""
    longest = {
        at: max([cells(columns[at].title), *(cells(line[at]) for line in texts)]) for at in shown
    }
    sizes = {at: min(longest[at], columns[at].widest) for at in shown}
    rest = max((longest[at] for at in shown if not columns[at].widest), default=0)
    while True:
        left = total - sum(sizes[at] for at in shown) - len(_GAP) * (len(shown) - 1)
        # Of equals the last one: a table that lacks a column in the middle is read wrongly.
        spare = max(reversed(shown), key=lambda at: columns[at].spared)
        if left >= min(rest, _NARROWEST_REST) or not columns[spare].spared:
            break
        shown.remove(spare)
    for at in shown:
        if not columns[at].widest:
            sizes[at] = max(min(left, longest[at]), _LEAST_REST)
    return sizes


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell[0]


def _style(cell: Cell) -> str:
    return "" if isinstance(cell, str) else cell[1]
