"""Two texts, word by word: what a person needs to see of an edited prompt."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal

Mark = Literal["=", "-", "+"]
Piece = tuple[Mark, str]
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
_MOST_WORDS = 4_000
"""Of the two together; longer texts are compared line by line."""
_AROUND_CHARS = 40
GAP = "…"


def pieces(old: str, new: str) -> list[Piece]:
    """``old`` and ``new`` as one text of what stayed (``=``), went (``-``) and came (``+``)."""
    one, other = _WORDS.findall(old), _WORDS.findall(new)
    if len(one) + len(other) > _MOST_WORDS:
        one, other = old.splitlines(keepends=True), new.splitlines(keepends=True)
    found: list[Piece] = []
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if tag == "equal":
            found.append(("=", "".join(one[old_from:old_to])))
            continue
        if old_to > old_from:
            found.append(("-", "".join(one[old_from:old_to])))
        if new_to > new_from:
            found.append(("+", "".join(other[new_from:new_to])))
    return found


def excerpted(found: list[Piece], around_chars: int = _AROUND_CHARS) -> list[Piece]:
    """The same with long stretches that stayed cut out of the middle."""
    out: list[Piece] = []
    for number, (mark, text) in enumerate(found):
        first, last = number == 0, number == len(found) - 1
        sides = 2 - first - last
        if mark == "=" and sides and len(text) > sides * around_chars + len(GAP):
            begin = "" if first else text[:around_chars]
            end = "" if last else text[-around_chars:]
            out.append(("=", f"{begin}{GAP}{end}"))
        else:
            out.append((mark, text))
    return out


def marked(old: str, new: str) -> str:
    """``… you are [-polite-]{+brief+} …``, as ``git diff --word-diff`` writes it."""
    signs = {"=": ("", ""), "-": ("[-", "-]"), "+": ("{+", "+}")}
    return "".join(
        f"{signs[mark][0]}{text}{signs[mark][1]}" for mark, text in excerpted(pieces(old, new))
    )
