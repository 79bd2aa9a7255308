"""Whether bytes may hold a secret at all: what lets most spans pass without being taken apart.

Says yes wherever :class:`~tachograph._redact.Redactor` would mask by name or by shape, and rarely else. Each
expression starts with one letter that is rare in text, which the engine finds at the speed of memory, and looks
back from there: fifteen of them cost a tenth of what examining the text does. ``tests/sdk/test_screen.py`` holds
the two against each other.
"""

from __future__ import annotations

import re
from typing import Final

# After the name of a secret: what may end a name, then a quote, a sign of assignment, or the tag of a value.
_END = (
    rb"(?:[_\-. ]?(?:header|value|hash|pem|b64|text)|[0-9]+)?"
    rb"(?:\\*[\"']|[ \t]{0,8}(?:[:=]|\\+u003d|%3d)|\x12)"
)
_NAMES: Final = tuple(
    (expression[:1], re.compile(expression + _END))
    for expression in (
        rb"k(?:eys?|(?<=cook)ies?|(?<=tok)ens?)",
        rb"z(?<=authoriz)ation",
        rb"x-auth",
        rb"w(?<=pw)d",
    )
)
_SIGNED: Final = re.compile(rb"=(?:(?<=sig=)|(?<=signature=))")
_WORDS: Final = (
    (b"pass", re.compile(rb"pass(?:word|wd|phrase|code)s?" + _END)),
    (b"cre", re.compile(rb"cre(?:(?<=secre)ts?|dentials?)" + _END)),
    (b"connection", re.compile(rb"connection[_\-. ]?string" + _END)),
)
_ODD_LETTERS: Final = ((b"\xaa", b"\xe2\x84\xaa"), (b"\xb0", b"\xc4\xb0"))
"""KELVIN SIGN and I WITH DOT ABOVE: the letters outside ASCII whose lower case is inside."""

_UNDERSCORE = (
    rb"gh[pousr]_", rb"github_", rb"dckr_", rb"npm_", rb"hf_", rb"api_", rb"whsec_", rb"secret_", rb"r8_",
    rb"fw_", rb"ntn_", rb"figd_", rb"rubygems_", rb"sntrys_", rb"glsa_", rb"shp.._", rb"lsv2_", rb"do[opr]_",
)  # fmt: skip
_DASH = (
    rb"xox[abeprs]-", rb"xapp-", rb"glpat-", rb"gldt-", rb"glrt-", rb"glcbt-", rb"glptt-", rb"glft-", rb"glsoat-",
    rb"pypi-", rb"nvapi-", rb"xai-", rb"pplx-", rb"tvly-",
)  # fmt: skip


def _behind(letter: bytes, ends: tuple[bytes, ...], after: bytes) -> bytes:
    return letter + b"(?:" + b"|".join(b"(?<=%b)" % end for end in ends) + b")" + after


_SHAPES: Final = tuple(
    (expression[:1], re.compile(expression))
    for expression in (
        _behind(b"_", _UNDERSCORE, rb"[A-Za-z0-9]{2}"),
        _behind(b"-", _DASH, rb"[A-Za-z0-9]{2}"),
        rb"-(?:(?<=-----)BEGIN |(?<=--)[A-Za-z])",
        rb"k(?:(?<=sk)[-_][A-Za-z0-9]|_(?:live|test)_|(?<=hook)s\.slack)",
        rb"J(?<=eyJ)",
        rb"I(?:(?<=AKI)|(?<=ASI)|(?<=AI)z)",
        rb"X(?<=GOCSPX)-",
        rb"9(?<=ya29)\.",
        rb"v(?<=hv)s\.",
        rb"G(?<=SG)\.",
        rb"A(?<=:A)A",
        rb"b(?:earer|EARER|asic) ",
        rb"B(?:earer|EARER|asic) ",
    )
)
_URL: Final = re.compile(rb"/(?:(?<=:/)/|(?<=:\\/))")
_DIGITS: Final = bytes(
    ord("0") if chr(code).isdecimal() and code < 128 else code for code in range(256)
)
_CARD: Final = re.compile(rb"0000(?:(?:[ -]?0000){3}|[ -]?000000[ -]?00000)")


def may_hold_secret(content: bytes, *, emails: bool = False) -> bool:
    """Whether ``content``, UTF-8 or a span as protobuf, has to be examined."""
    for letter, expression in _SHAPES:
        if letter in content and expression.search(content):
            return True
    if b"@" in content and (emails or _URL.search(content)):
        return True
    # With every digit a nought, four of them are found, or found missing, at once.
    digits = content.translate(_DIGITS)
    if b"0000" in digits and _CARD.search(digits):
        return True
    return _has_name(content)


def _has_name(content: bytes) -> bool:
    lowered = content.lower()
    for letter, expression in _NAMES:
        if letter in lowered and expression.search(lowered):
            return True
    if b"=" in lowered and _SIGNED.search(lowered):
        return True
    for rare, letter in _ODD_LETTERS:
        if rare in content and letter in content:
            return True
    return any(word in lowered and expression.search(lowered) for word, expression in _WORDS)
