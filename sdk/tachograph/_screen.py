"""Which spans may hold a secret at all: what lets most of a batch pass without being taken apart.

Says so wherever :class:`~tachograph._redact.Redactor` would mask by name or by shape, and rarely else.
``tests/sdk/test_screen.py`` holds the two against each other. What it costs is the number of times that the
text is gone through, so many spans are screened as one text.

:mod:`tachograph._marks` says what is looked for, and two engines do: RE2, once through the text, where ``google-re2`` is
installed (the extra ``fast``), and Python's ``re``, four times as long, everywhere else.
"""

from __future__ import annotations

import functools
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any, Final

from tachograph._guard import LOGGER
from tachograph._marks import CARD, NAMES, SHAPES, Mark
from tachograph._named import is_sensitive
from tachograph._secrets import KEY_LIMIT_CHARS
from tachograph._waits import Mutex

_BETWEEN: Final = b"\xff"
"""Stands between two spans: no expression matches across it."""
_TOGETHER_BYTES: Final = 96 << 10
"""Screened as one text. So much is taken from memory that is in use; more, from the system, which gives it page by page."""
_QUOTES: Final = (b'"', b"'")
_NAME_BYTES: Final = 4 * (KEY_LIMIT_CHARS + 2)
"""Longer than any name."""
_URL: Final = re.compile(rb"/(?:(?<=:/)/|(?<=:\\/))")


def suspects(
    contents: Sequence[bytes], *, emails: bool = False, engine: Engine | None = None
) -> list[int]:
    """The places of those that have to be examined, in their order. ``engine``: another than the best."""
    look = engine or best_engine()
    found: list[int] = []
    first, size = 0, 0
    for at, content in enumerate(contents):
        size += len(content)
        if size >= _TOGETHER_BYTES or at == len(contents) - 1:
            batch = _Batch(contents[first : at + 1])
            look(batch)
            batch.look_for_addresses(emails=emails)
            found += (first + place for place in sorted(batch.found))
            first, size = at + 1, 0
    return found


class _Batch:
    """Contents as one text; ``ends``: where each ends, with what stands behind it."""

    def __init__(self, contents: Sequence[bytes]) -> None:
        self.text = _BETWEEN.join((*contents, b""))
        self.ends = list(accumulate(len(content) + 1 for content in contents))
        self.found: set[int] = set()

    def note(self, at: int) -> int:
        """What stands ``at`` may be a secret; where the next content begins."""
        index = bisect_right(self.ends, at)
        self.found.add(index)
        return self.ends[index]

    def after(self, start: int, end: int) -> int:
        """Note a match, unless it is the end of a quoted text that names no secret; where to go on."""
        quote = self.text[end - 1 : end]
        if quote in _QUOTES and not self._names_secret(start, end, quote):
            # Not behind it: something else may begin within.
            return start + 1
        return self.note(start)

    def _names_secret(self, at: int, end: int, quote: bytes) -> bool:
        """Whether the text in quotes that ends here is the name of a secret: ``"max_tokens"`` is none."""
        start = self.text.rfind(quote, max(0, at - _NAME_BYTES), at)
        if start < 0:
            return False
        name = self.text[start + 1 : end - 1].rstrip(b"\\").decode("utf-8", "replace")
        return is_sensitive(name)

    def look_for_addresses(self, *, emails: bool) -> None:
        """Note where a URL may hold a password, and every address when ``emails`` are to go."""
        at = self.text.find(b"@")
        while at >= 0:
            index = bisect_right(self.ends, at)
            start, end = self.ends[index - 1] if index else 0, self.ends[index]
            if emails or _URL.search(self.text, start, end):
                self.found.add(index)
            at = self.text.find(b"@", end)


Engine = Callable[[_Batch], None]
"""Notes in a batch where a mark of a secret stands."""


_engine: Engine | None = None


def best_engine() -> Engine:
    """RE2's, where it is installed. First called when recording begins: no other thread imports where one may fork."""
    global _engine
    if _engine is None:
        _engine = re2_engine() or python_engine()
    return _engine


# --- RE2 ---------------------------------------------------------------------------------------------


_looking = Mutex()
"""Held while RE2 looks. Python's threads can go on meanwhile, and so can a fork and the end of the interpreter."""
_is_over = False
_forks = 0


def re2_engine() -> Engine | None:
    """Looks for everything in one go; None where ``google-re2`` is not installed, is something else, or may not look any more."""
    try:
        import re2

        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.never_capture = True
        options.max_mem = _RE2_MEMORY_BYTES + _forks
        expression = re2.compile(_re2_expression(), options)
        with _looking:
            if _is_over or expression.search(b"a password: b").span() != (2, 11):
                return None
    except ImportError:
        return None
    except Exception as error:
        # Other packages of that name look otherwise.
        LOGGER.debug("tachograph: re2 cannot be used: %s", error)
        return None
    return functools.partial(_look_with_re2, expression)


_RE2_MEMORY_BYTES: Final = 32 << 20
"""At most; it takes what the texts have needed, mostly a tenth of a megabyte."""


def end_re2(timeout_s: float = 5.0) -> None:
    """Wait until RE2 is not looking, and have it look no more: Python does, if anything is still to be sent.

    For the end of the process: a thread that comes back from C++ while the interpreter ends aborts the process. One that
    waits for a collector in vain may be at a look, which takes a moment; on a machine with no time for it, longer.
    """
    global _engine, _is_over
    _is_over, _engine = True, None
    if _looking.acquire(timeout=timeout_s):
        _looking.release()


def _forked() -> None:
    """An expression has locks of its own, which a thread of the parent's may have held: the child compiles another one."""
    global _engine, _forks, _looking
    _engine, _looking = None, Mutex()
    # The package keeps what it has compiled, by the expression and its options.
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _re2_expression() -> bytes:
    names = b"|".join(map(_in_a_row, NAMES))
    return b"|".join((*map(_in_a_row, (*SHAPES, CARD)), b"(?i:%b)" % names))


def _in_a_row(mark: Mark) -> bytes:
    return b"(?:%b)%b%b" % (b"|".join(mark.before), re.escape(mark.letter), mark.behind)


def _look_with_re2(expression: Any, batch: _Batch) -> None:
    with _looking:
        if not _is_over:
            match = expression.search(batch.text)
            while match is not None:
                match = expression.search(batch.text, batch.after(*match.span()))
            return
    python_engine()(batch)


# --- Python ------------------------------------------------------------------------------------------

_RARE: Final = 1_000
_ALLOWANCE: Final = 16
"""A letter is looked for by itself, which is faster still, as long as it is rarer than one in so many; the first few may
stand together."""
_FOLD: Final = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ123456789-", b"abcdefghijklmnopqrstuvwxyz000000000 "
)
"""Every capital a small letter, every digit a nought, every dash a space."""
_GUARDS: Final = {
    # Most words before one end otherwise: that is asked first, and at once.
    b"_": rb"(?:(?<=[hukpertfgmysacvo_][pousrbmfict8wda2k]_)|(?<=tn_))(?=[A-Za-z0-9])",
    b"-": rb"(?=[A-Za-z0-9_.])",
    b".": rb"(?<=[2vSk][9sG]\.)",
    b"k": rb"(?=ey|en(?<=token)|ie(?<=cookie))",
    b"c": rb"(?=re[td]|onnection)",
}
_CARD_PIECES: Final = ((b"000000000000", 12), (b"0000 0000", 1))
"""One of which every card begins with, folded; and how far on the next may be."""
_Expressions = tuple[tuple[bytes, re.Pattern[bytes]], ...]


def python_engine() -> Engine:
    """Looks for the letters one after the other: each is rare, and found at the speed of memory."""
    shapes, names = _by_letter(SHAPES), _by_letter(NAMES)
    # The length of a text may look like one more digit before it.
    card = re.compile(b"[0-9]?(?=[2-6])(?:%b)%b" % (_behind_one_of(CARD), CARD.behind))

    def look(batch: _Batch) -> None:
        for letter, expression in shapes:
            _look(batch, batch.text, letter, expression)
        folded = batch.text.translate(_FOLD)
        for letter, expression in names:
            _look(batch, folded, letter, expression)
        _look_for_cards(batch, folded, card)

    return look


def _by_letter(marks: Iterable[Mark]) -> _Expressions:
    """An expression for each letter, which begins with it and looks back from there."""
    found: dict[bytes, list[bytes]] = {}
    for mark in marks:
        # What stands behind is asked first: most often that is not it.
        way = b"(?=%b)(?:%b)%b" % (mark.behind, _behind_one_of(mark), mark.behind)
        found.setdefault(mark.letter, []).append(way)
    return tuple(
        (
            letter,
            re.compile(
                b"%b%b(?:%b)" % (re.escape(letter), _GUARDS.get(letter, b""), b"|".join(ways))
            ),
        )
        for letter, ways in found.items()
    )


def _behind_one_of(mark: Mark) -> bytes:
    return b"|".join(b"(?<=%b%b)" % (one, re.escape(mark.letter)) for one in mark.before)


def _look(batch: _Batch, text: bytes, letter: bytes, expression: re.Pattern[bytes]) -> None:
    """Note where ``expression``, which begins with ``letter``, matches in ``text``."""
    at, met = text.find(letter), -_ALLOWANCE
    while at >= 0 and met * _RARE < at:
        match = expression.match(text, at)
        at, met = text.find(letter, batch.after(*match.span()) if match else at + 1), met + 1
    match = expression.search(text, at) if at >= 0 else None
    while match is not None:
        match = expression.search(text, batch.after(*match.span()))


def _look_for_cards(batch: _Batch, folded: bytes, card: re.Pattern[bytes]) -> None:
    """Note the numbers of cards. Of digits in a row only the first are those of a card."""
    for piece, step in _CARD_PIECES:
        at = folded.find(piece)
        while at >= 0:
            at = folded.find(piece, batch.note(at) if card.match(batch.text, at) else at + step)
