"""The readable account as what its component draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tachograph_schemas import words
from tachograph_schemas.account.model import Account, Line
from tachograph_schemas.comparison import Parted

_TEXT_CHARS = 400
_DETAIL_CHARS = 600
MOST_LINES = 200
"""A story longer than this is cut; the tree has every step."""
_LONG_NS = 1_000_000_000


def story(account: Account, selected: str, height: int) -> dict[str, Any]:
    """What happened, in order of time."""
    left_out = len(account.story) - MOST_LINES
    return {
        "run": account.run_id,
        "selected": selected,
        "height": height,
        "story": _lines(account.story[:MOST_LINES]),
        "more": f"{left_out:,} more steps; the timeline has them all." if left_out > 0 else "",
    }


def questions(account: Account, selected: str, height: int) -> dict[str, Any]:
    """The eight questions with their answers."""
    return {
        "run": account.run_id,
        "selected": selected,
        "height": height,
        "sections": [
            {"question": section.question, "lines": _lines(section.lines[:MOST_LINES])}
            for section in account.sections
        ],
        "more": "",
    }


def why(account: Account, nearest: Parted | None, selected: str, height: int) -> dict[str, Any]:
    """Why the run ended, and where it left the road of the nearest one that succeeded."""
    chain = list(account.why)
    if len(chain) == 1:
        chain.append(Line("Nothing before it in the record explains it", tone="plain"))
    shown: list[dict[str, Any]] = [
        {"question": "From its end back to the first cause", "lines": _lines(chain)}
    ]
    if nearest is not None:
        title = words.excerpt(nearest.title, 120)
        shown.append(
            {
                "question": "Beside the nearest run that succeeded",
                "link": {"text": title, "run": nearest.run_id},
                "lines": _lines(nearest.lines),
            }
        )
    return {
        "run": account.run_id,
        "selected": selected,
        "height": height,
        "sections": shown,
        "more": "",
    }


def _lines(lines: Sequence[Line]) -> list[dict[str, Any]]:
    return [
        {
            "text": words.excerpt(line.text, _TEXT_CHARS),
            "detail": _detail(line.detail),
            "layer": line.layer,
            "tone": line.tone,
            "span": line.span_id,
            "at": "" if line.offset_ns is None else words.duration(line.offset_ns),
            "took": _took(line),
            "count": line.count,
        }
        for line in lines
    ]


def _took(line: Line) -> str:
    """Only what a person would notice."""
    if line.duration_ns is None or line.duration_ns < _LONG_NS:
        return ""
    return f"took {words.duration(line.duration_ns)}"


def _detail(text: str) -> str:
    shown = words.plain(text[:_DETAIL_CHARS], newlines=True)
    return shown + (words.ELLIPSIS if len(text) > _DETAIL_CHARS else "")
