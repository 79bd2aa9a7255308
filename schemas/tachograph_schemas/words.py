"""Numbers, times and foreign text as people read them: pure functions for the command line and the pages.

Everything recorded is hostile until :func:`plain` has seen it: a tool's result can hold escape
sequences that repaint a terminal, or characters that reorder or hide what a person reads.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000
ELLIPSIS = "…"
UNPRICED = "unpriced"
UNKNOWN = "\u2013"

# Everything that is not seen, or that changes how its neighbours are seen: controls, soft hyphen, bidi
# marks and overrides, zero-width and filler characters, line separators, tags and variation selectors
# that can smuggle text, lone surrogates (which no terminal accepts).
_UNSEEN = (
    "\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_UNSAFE = re.compile(f"[{_UNSEEN}]")
_PICTURE = "\U0001f000-\U0001faff\u2600-\u27bf"
# The joiner inside 👩‍💻 hides nothing; anywhere else it does.
_JOINED = re.compile(f"(?<=[{_PICTURE}\ufe0f])\u200d(?=[{_PICTURE}])")


def duration(ns: float) -> str:
    """Nanoseconds as ``340 ms``, ``12.4 s``, ``3 min 05 s``, ``2 h 10 min``, ``3 d 04 h``."""
    ns = max(ns, 0)
    if 0 < ns < _NS_PER_MS:
        return "0.1 ms" if ns < _NS_PER_MS / 10 else f"{min(ns / _NS_PER_MS, 0.9):.1f} ms"
    if ns < 999.5 * _NS_PER_MS:
        return f"{ns / _NS_PER_MS:.0f} ms"
    seconds = ns / _NS_PER_S
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours:02d} h"


def usd(amount: float | None) -> str:
    """US dollars: cents from one dollar up, four significant digits below; ``None`` is no price.

    Something that cost something never reads as nothing.
    """
    if amount is None or not math.isfinite(amount):
        return UNPRICED
    sign, size = ("-" if amount < 0 else ""), abs(amount)
    if size == 0:
        return "$0.00"
    if round(size, 4) >= 1:
        return f"{sign}${size:,.2f}"
    # Plain decimals, never an exponent; zeros behind the cents say nothing.
    digits = format(Decimal(f"{size:.3e}"), "f")
    whole, _, fraction = digits.partition(".")
    return f"{sign}${whole}.{fraction.rstrip('0').ljust(2, '0')}"


_AMOUNT = re.compile(r"\$[\d,]+\.\d+\+?\Z")


def at_point(amounts: Sequence[str], blank: str = " ") -> list[str]:
    """Amounts of money, as :func:`usd` says them, that have their decimal points below each other when aligned right.

    ``blank`` is as wide as a digit. What is no amount stays as it is.
    """
    tails = [len(each) - each.rfind(".") if _AMOUNT.search(each) else 0 for each in amounts]
    most = max(tails, default=0)
    return [
        each + blank * (most - tail) if tail else each
        for each, tail in zip(amounts, tails, strict=True)
    ]


def tokens(number: int | None) -> str:
    """A number of tokens with thousands set apart; ``None`` is unknown."""
    return UNKNOWN if number is None else f"{number:,}"


def moment(when: datetime) -> str:
    """``2026-11-21 09:14:03 UTC``; times without a zone are UTC."""
    return f"{_aware(when).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def moment_ns(ns: int) -> str:
    """:func:`moment` of nanoseconds since 1970."""
    return moment(datetime.fromtimestamp(ns / 1e9, UTC))


def ago(when: datetime, now: datetime | None = None) -> str:
    """How long ago: ``just now``, ``5 min ago``, ``3 h ago``, ``2 d ago``; dates beyond 30 days.

    Args:
        when: Without a zone it is read as UTC.
        now: For tests and for pages that show one moment; default: the clock.
    """
    seconds = ((now or datetime.now(UTC)) - _aware(when)).total_seconds()
    form = "{} ago" if seconds >= 0 else "in {}"
    size = abs(seconds)
    if size < 10:
        return "just now"
    if size < 60:
        return form.format(f"{size:.0f} s")
    if size < 3600:
        return form.format(f"{size // 60:.0f} min")
    if size < 48 * 3600:
        return form.format(f"{size // 3600:.0f} h")
    if size < 30 * 86400:
        return form.format(f"{size // 86400:.0f} d")
    return f"{_aware(when).astimezone(UTC):%Y-%m-%d}"


def _aware(when: datetime) -> datetime:
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 tool call``, ``2 tool calls``, ``no tool calls``; ``plural`` where the rules do not do."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {plural or _plural(noun)}" if number else f"no {plural or _plural(noun)}"


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in set("aeiou"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"


def drift_is_behind(seconds: float) -> str:
    """Said where drift has not been looked for so long, which ends by itself or has its reason in a log."""
    return (
        f"No run was compared for {duration(seconds * 1e9)}: the collector's log says why. "
        "It goes on by itself as soon as it can."
    )


def times(number: int) -> str:
    """``once``, ``twice``, ``3 times``."""
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")


def joined(parts: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def excerpt(text: str, chars: int) -> str:
    """The beginning of ``text`` in one display-safe line of at most ``chars`` characters.

    Cut at a word where one ends near, and marked with an ellipsis when cut.
    """
    # Four times as much as can be shown: runs of blanks shrink, unseen characters grow.
    line = plain(" ".join(text[: chars * 4 + 64].split()))
    if len(line) <= chars and len(text) <= chars * 4 + 64:
        return line
    kept = line[: max(chars - 1, 0)]
    word = kept.rfind(" ", len(kept) * 3 // 4)
    return (kept[:word] if word > 0 else kept).rstrip() + ELLIPSIS


def plain(text: str, *, newlines: bool = False) -> str:
    """``text`` with everything unseen made visible, safe to print and to show.

    Controls become their pictures (``␛``), the rest its number (``⟨U+202E⟩``). Idempotent.

    Args:
        text: Anything, lone surrogates included.
        newlines: Keep line breaks and tabs as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_with_breaks if newlines else _visible, text)


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code == 0x200D and _JOINED.match(match.string, match.start()):
        return match.group()
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"


def _with_breaks(match: re.Match[str]) -> str:
    return match.group() if match.group() in "\n\t" else _visible(match)
