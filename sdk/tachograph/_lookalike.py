"""Names that look like others: what a tool calls itself, as somebody who wrote a policy would read it.

Servers of tools name them as they like. A policy about ``delete_*`` is to hold for ``delete_all`` with a Cyrillic or an
invisible letter in it, too. Unicode's whole table of confusables is larger than this package: here are the letters of
Cyrillic and Greek that are drawn like Latin ones, and a word in which alphabets are mixed is not trusted at all.
Letters of one alphabet that look alike (``l`` and ``I``, ``rn`` and ``m``) are not told apart by this. Honest names of
other languages are no disguise: signs that join their letters, or emoji, are left alone there, and units are Greek.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

_CYRILLIC: Final = "430a 432b 435e 43ak 43cm 43dh 43eo 440p 441c 442t 443y 445x 44cb 455s 456i 458j 475v 4bbh 4cfl 501d 51bq 51dw"
_GREEK: Final = (
    "3b1a 3b2b 3b3y 3b5e 3b6z 3b7h 3b9i 3bak 3bcm 3bdv 3bfo 3c1p 3c4t 3c5u 3c7x 3f2c 3f3j"
)
_LATIN: Final = (
    "131i 251a 261g 1d00a 299b 1d04c 1d05d 1d07e a730f 262g 29ch 26ai 1d0aj 1d0bk 29fl 1d0dm 274n 1d0fo 1d18p 280r"
    " a731s 1d1bt 1d1cu 1d20v 1d21w 28fy 1d22z"
)
"""Small capitals among them."""
_DRAWN_LIKE: Final = {
    int(each[:-1], 16): each[-1] for each in f"{_CYRILLIC} {_GREEK} {_LATIN}".split()
}
"""By the number of a small letter, the small Latin one that it, or its capital, is drawn like."""
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_BLANKS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and signs that are drawn as nothing."""
_SELECTOR: Final = re.compile("[\u034f\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Marks that say how the letter or emoji before them is drawn, and are nothing by themselves."""
_BESIDE_LATIN: Final = frozenset(
    {
        *("LATIN", "CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"),
        *("HANGUL", "BOPOMOFO"),
    }
)
"""Scripts that nobody takes for Latin."""
_JOINED: Final = re.compile(r"(?<=[^\x00-\x7f])[\u200c\u200d](?=[^\x00-\x7f])")
"""Signs that shape the letters or emoji around them: Persian, Hindi and families are written with them."""
_UNIT: Final = re.compile(r"[\u03bc\u03c0\u03bb\u0394\u03a3\u03a9][A-Za-z]")
"""A Greek letter that stands before one Latin letter by right, as in microseconds."""
_DASHES: Final = {"Pd": "-", "Pc": "_"}
"""By category, what all dashes and all ties are read as."""
_WORD: Final = re.compile(r"[^\W\d_]+")


@lru_cache(maxsize=4096)
def read_as(name: str) -> str:
    """The name as it is read: one for all names that look the same."""
    if name.isascii() and name.isprintable():
        return name.casefold()
    seen = "".join(each for each in name if not _is_unseen(each))
    parts = unicodedata.normalize("NFKD", seen).casefold()
    return "".join(map(_drawn, parts)).translate(_DRAWN_LIKE)


@lru_cache(maxsize=4096)
def is_disguised(name: str) -> bool:
    """Whether a name has letters that cannot be seen, or mixes alphabets within a word."""
    if name.isascii() and name.isprintable():
        return False
    if any(map(_is_unseen, _JOINED.sub("", name))):
        return True
    words = _WORD.findall(unicodedata.normalize("NFKC", name))
    return any(
        _is_mixed({_script(each) for each in word}) and not _UNIT.fullmatch(word) for word in words
    )


def _drawn(letter: str) -> str:
    """A letter as it is drawn; what stands on one goes."""
    if unicodedata.combining(letter) or _SELECTOR.match(letter):
        return ""
    return _DASHES.get(unicodedata.category(letter), letter)


def _is_unseen(letter: str) -> bool:
    return unicodedata.category(letter) in _UNSEEN or letter in _BLANKS


def _is_mixed(scripts: set[str]) -> bool:
    return "LATIN" in scripts and not scripts <= _BESIDE_LATIN


def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").split()[0]
