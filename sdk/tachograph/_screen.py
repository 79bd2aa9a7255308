"""Which spans may hold a secret at all: what lets most of a batch pass without being taken apart.

Says so wherever :class:`~tachograph._redact.Redactor` would mask by name or by shape, and rarely else.
``tests/sdk/test_screen.py`` holds the two against each other. What it costs is the number of times that the
text is gone through, so many spans are screened as one text, each expression starts with a letter that is
rare, which the engine finds at the speed of memory, and shapes that share such a letter share an expression, which
looks back from there.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

_BETWEEN: Final = b"\xff"
"""Stands between two spans: no expression matches across it."""
_TOGETHER_BYTES: Final = 512 << 10
"""Screened as one text: as much as the cache of a processor holds."""
_RARE: Final = 1_000
_ALLOWANCE: Final = 16
"""A letter is looked for by itself, which is faster still, as long as it is rarer than one in so many; the first few may
stand together."""

_UNDERSCORE = (
    rb"(?<=gh[pousr]_)", rb"(?<=github_)", rb"(?<=dckr_)", rb"(?<=npm_)", rb"(?<=hf_)", rb"(?<=api_)", rb"(?<=whsec_)",
    rb"(?<=secret_)", rb"(?<=r8_)", rb"(?<=fw_)", rb"(?<=ntn_)", rb"(?<=figd_)", rb"(?<=rubygems_)", rb"(?<=sntrys_)",
    rb"(?<=glsa_)", rb"(?<=shp.._)", rb"(?<=lsv2_)", rb"(?<=do[opr]_)", rb"(?<=sk_)", rb"(?<=k_)(?:live|test)_",
)  # fmt: skip
_DASH = (
    rb"(?<=xox[abeprs]-)", rb"(?<=xapp-)", rb"(?<=glpat-)", rb"(?<=gldt-)", rb"(?<=glrt-)", rb"(?<=glcbt-)", rb"(?<=glptt-)",
    rb"(?<=glft-)", rb"(?<=glsoat-)", rb"(?<=pypi-)", rb"(?<=nvapi-)", rb"(?<=xai-)", rb"(?<=pplx-)", rb"(?<=tvly-)",
    rb"(?<=sk-)", rb"(?<=GOCSPX-)", rb"(?<=-----)BEGIN ", rb"(?<=--)[A-Za-z]", rb"(?<=[Xx]-)(?i:auth)",
)  # fmt: skip
_DOT = (rb"(?<=ya29\.)", rb"(?<=hvs\.)", rb"(?<=SG\.)", rb"(?<=hooks\.)slack")


def _any_of(found: Sequence[bytes]) -> bytes:
    return b"(?:" + b"|".join(found) + b")"


_SHAPES: Final = tuple(
    (letter, re.compile(re.escape(letter) + rest))
    for letter, rest in (
        # Most words before one end otherwise: that is asked first, and at once.
        (b"_", rb"(?:(?<=[hukpertfgmysacvo_][pousrbmfict8wda2k]_)|(?<=tn_))(?=[A-Za-z0-9])" + _any_of(_UNDERSCORE)),
        (b"-", rb"(?=[A-Za-z0-9])" + _any_of(_DASH)),
        (b".", rb"(?<=[2vSk][9sG]\.)" + _any_of(_DOT)),
        (b"J", rb"(?<=eyJ)"),
        (b"I", rb"(?:(?<=AKI)|(?<=ASI)|(?<=AI)z)"),
        (b"A", rb"(?<=:A)A"),
        # KELVIN SIGN and I WITH DOT ABOVE: the letters outside ASCII whose lower case is inside.
        (b"\xaa", rb"(?<=\xe2\x84\xaa)"),
        (b"\xb0", rb"(?<=\xc4\xb0)"),
    )
)  # fmt: skip
"""Looked for in the text as it is."""

_FOLD: Final = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ123456789-", b"abcdefghijklmnopqrstuvwxyz000000000 "
)
"""Every capital a small letter, every digit a nought, every dash a space."""
# After the name of a secret: what may end a name, then a quote, a sign of assignment, or the tag of a value.
_END = (
    # Mostly another word of a sentence: that is seen at once.
    rb"(?! [ac-gi-oqrsuw-z])"
    rb"(?:[_. ]?(?:header|value|hash|pem|b00|text)|0+)?"
    rb"(?:\\*[\"']|[ \t]{0,8}(?:[:=]|\\+u000d|%0d)|\x12)"
)
_NAMES: Final = tuple(
    (letter, re.compile(letter + rest))
    for letter, rest in (
        (b"k", rb"(?:e(?:y|(?<=toke)n)|i(?<=cooki)e)s?" + _END),
        (b"z", rb"(?<=authoriz)ation" + _END),
        (b"p", rb"(?:ass(?:word|wd|phrase|code)s?|wd)" + _END),
        (b"c", rb"(?:re(?:(?<=secre)ts?|dentials?)|onnection[_. ]?string)" + _END),
        (b"=", rb"(?:(?<=sig=)|(?<=signature=))"),
        (b"b", rb"(?:earer|asic) "),
    )
)
"""Looked for in the text folded."""

_URL: Final = re.compile(rb"/(?:(?<=:/)/|(?<=:\\/))")
_CARD: Final = re.compile(rb"0000(?:(?: ?0000){3}| ?000000 ?00000)")
_CARD_PIECES: Final = (b"000000000000", b"0000 0000")
"""One of which is in the number of every card, folded."""
_CARD_CHARS: Final = 20
"""More than what stands before or behind the piece."""


def suspects(contents: Sequence[bytes], *, emails: bool = False) -> list[int]:
    """The places of those that have to be examined, in their order."""
    found: list[int] = []
    first, size = 0, 0
    for at, content in enumerate(contents):
        size += len(content)
        if size >= _TOGETHER_BYTES or at == len(contents) - 1:
            found += (first + place for place in _suspects(contents[first : at + 1], emails=emails))
            first, size = at + 1, 0
    return found


def _suspects(contents: Sequence[bytes], *, emails: bool) -> list[int]:
    ends = list(accumulate(len(content) + 1 for content in contents))
    batch = _Batch(_BETWEEN.join(contents) + _BETWEEN, ends)
    for letter, expression in _SHAPES:
        batch.look(batch.text, letter, expression)
    batch.look_for_addresses(emails=emails)
    folded = batch.text.translate(_FOLD)
    for letter, expression in _NAMES:
        batch.look(folded, letter, expression)
    batch.look_for_cards(folded)
    return sorted(batch.found)


class _Batch:
    """Contents as one text; ``ends``: where each ends, with what stands behind it."""

    def __init__(self, text: bytes, ends: list[int]) -> None:
        self.text = text
        self.ends = ends
        self.found: set[int] = set()

    def note(self, at: int) -> int:
        """What stands ``at`` may be a secret; where the next content begins."""
        index = bisect_right(self.ends, at)
        self.found.add(index)
        return self.ends[index]

    def look(self, text: bytes, letter: bytes, expression: re.Pattern[bytes]) -> None:
        """Note where ``expression``, which begins with ``letter``, matches in ``text``."""
        at, met = text.find(letter), -_ALLOWANCE
        while at >= 0 and met * _RARE < at:
            after = self.note(at) if expression.match(text, at) else at + 1
            at, met = text.find(letter, after), met + 1
        match = expression.search(text, at) if at >= 0 else None
        while match is not None:
            match = expression.search(text, self.note(match.start()))

    def look_for_addresses(self, *, emails: bool) -> None:
        """Note where a URL may hold a password, and every address when ``emails`` are to go."""
        at = self.text.find(b"@")
        while at >= 0:
            index = bisect_right(self.ends, at)
            start, end = self.ends[index - 1] if index else 0, self.ends[index]
            if emails or _URL.search(self.text, start, end):
                self.found.add(index)
            at = self.text.find(b"@", end)

    def look_for_cards(self, folded: bytes) -> None:
        """Note where there are as many digits as a card has."""
        for piece in _CARD_PIECES:
            at = folded.find(piece)
            while at >= 0:
                from_, to = max(at - _CARD_CHARS, 0), at + len(piece) + _CARD_CHARS
                after = self.note(at) if _CARD.search(folded, from_, to) else at + 1
                at = folded.find(piece, after)
