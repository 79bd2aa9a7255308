"""What the screen looks for: the beginnings of secrets, and the names before them.

One table for both of the screen's engines. Each row says what may stand before a letter, that letter, and what stands
behind it. RE2 takes all of them as one expression. Python's engine finds a rare letter at the speed
of memory and looks back from there, so each of what stands before it has to be of one length.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Mark(NamedTuple):
    """One of ``before``, then ``letter``, one byte, then ``behind``."""

    before: tuple[bytes, ...]
    letter: bytes
    behind: bytes = b""


_WORD: Final = rb"[A-Za-z0-9]"

SHAPES: Final = (
    Mark((
        rb"gh[pousr]", rb"github", rb"dckr", rb"npm", rb"hf", rb"api", rb"whsec", rb"secret", rb"r8", rb"fw", rb"ntn",
        rb"figd", rb"rubygems", rb"sntrys", rb"glsa", rb"shp..", rb"lsv2", rb"do[opr]", rb"sk",
    ), b"_", _WORD),
    Mark((rb"k",), b"_", rb"(?:live|test)_"),
    Mark((
        rb"xox[abeprs]", rb"xapp", rb"glpat", rb"gldt", rb"glrt", rb"glcbt", rb"glptt", rb"glft", rb"glsoat", rb"pypi",
        rb"nvapi", rb"xai", rb"pplx", rb"tvly", rb"sk", rb"GOCSPX",
    ), b"-", _WORD),
    Mark((rb"----",), b"-", rb"BEGIN "),
    Mark((rb"-",), b"-", rb"[A-Za-z0-9_.]"),
    Mark((rb"[Xx]",), b"-", rb"(?i:auth)"),
    Mark((rb"ya29", rb"hvs", rb"SG"), b"."),
    Mark((rb"hooks",), b".", rb"slack"),
    Mark((rb"ey",), b"J"),
    Mark((rb"AK", rb"AS"), b"I"),
    Mark((rb"A",), b"I", rb"z"),
    Mark((rb":",), b"A", rb"A"),
    # KELVIN SIGN and I WITH DOT ABOVE: the letters outside ASCII whose lower case is inside.
    Mark((rb"\xe2\x84",), b"\xaa"),
    Mark((rb"\xc4",), b"\xb0"),
)  # fmt: skip
"""Looked for in the text as it is."""

# After the name of a secret: what may end a name, then a quote, a sign of assignment, or the tag of a value.
_END: Final = (
    rb"(?:[_\-. ]?(?:header|value|hash|pem|b[06][04]|text)|[0-9]+)?"
    rb"(?:\\*[\"']|[ \t]{0,8}(?:[:=]|\\+u00[03]d|%[03]d)|\x12)"
)


def _joined(words: bytes, rest: bytes) -> tuple[bytes, ...]:
    """Each of the words before ``rest``, at once or as a word of its own."""
    return tuple(word + gap + rest for word in words.split() for gap in (b"", rb"[_\-. ]"))


NAMES: Final = (
    Mark(_joined(
        b"api secret secrets private signing encryption access account subscription master", b""
    ), b"k", rb"eys?" + _END),
    Mark((rb"to",), b"k", rb"en" + _END),
    # Several tokens are mostly those of a text.
    Mark(_joined(
        b"access refresh id auth session bearer security csrf xsrf api oauth device", b"to"
    ), b"k", rb"ens" + _END),
    Mark((rb"coo",), b"k", rb"ies?" + _END),
    Mark((rb"authori",), b"z", rb"ation" + _END),
    Mark((), b"p", rb"(?:ass(?:word|wd|phrase|code)s?|wd)" + _END),
    Mark((rb"se",), b"c", rb"rets?" + _END),
    Mark((), b"c", rb"redentials?" + _END),
    Mark((), b"c", rb"onnection[_\-. ]?string" + _END),
    Mark((rb"sig", rb"signature"), b"="),
    Mark((), b"b", rb"(?:earer|asic) "),
)  # fmt: skip
"""Looked for whatever the case of the letters; they also match where digits are noughts and dashes spaces."""

CARD: Final = Mark(
    # No letter, digit or sign, unless it is that of an escape, or of the length that a text has in protobuf.
    (
        rb"^", rb"[^\w.\-+]", rb"\\[nrt]",
        *(rb"[\n\x12*:]" + more * rb"[\x80-\xff]" + rb"[\x00-\x7f]" for more in range(5)),
    ),
    b"",
    rb"[2-6][0-9]{3}(?:(?:[ \-]?[0-9]{4}){3}|[ \-]?[0-9]{6}[ \-]?[0-9]{5})",
)  # fmt: skip
"""As many digits as a card has; most long numbers begin otherwise. Looked for in the text as it is."""
