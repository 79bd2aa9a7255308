"""Secrets that are known by the name before them: ``password: x``, ``X_SECRET=x``, ``"token": "x"``.

The text need not be JSON, or whole, or escaped only once: each place where a name of that kind may stand
is looked at by itself, up to a fixed distance, and a value is passed over once it was read.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from tachograph import _secrets
from tachograph._shapes import is_mask, mask, occurrences
from tachograph._values import is_plain_words, is_reference

_WORD_CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
_WORD = re.compile(r"[A-Za-z0-9_.\-]{0,80}+")
_KEY_END = re.compile(r"""[^"'\\\n]{0,80}+(?P<escape>\\*+)(?P<quote>["'])""")
_SPACE = r"(?:\s|\\{1,8}[nrt]){0,64}+"
_COLON = re.compile(rf"{_SPACE}(?::|=>?){_SPACE}")
_NEXT_VALUE = re.compile(
    rf"""(?i){_SPACE},{_SPACE}\\*+["'](?:value|val|v|secret|default|content)\\*+["']{_SPACE}:{_SPACE}"""
)
_ASSIGN = re.compile(r"[ \t]{0,8}(?P<sign>:=|=>|:|=(?!=)|\\+u003d|%3[dD])[ \t]{0,8}")
_OPEN = re.compile(r"""(?P<escape>\\*+)(?P<quote>["'])""")
_BARE = re.compile(r"""[^\s,;&"'<>\\`]{1,4096}+""")
_REST_OF_LINE = re.compile(r"""[^"'\r\n\\]{1,8192}+""")
_PAIR = re.compile(r"""[^\s=;"'\\]{1,256}+=""")
_SCHEME = re.compile(
    r"(?i)(?P<scheme>bearer|basic|token|api-?key|key|negotiate|dpop|digest|aws4-hmac-sha256|googlelogin)"
    r"[ \t]{1,8}"
)
_SENT = re.compile(r"""[^\s"'\\,]{4,8192}+""")
_NUMBER = re.compile(r"-?[0-9][0-9.eE+\-]{0,64}+")
_TEXT_LIMIT_CHARS = 8_192
"""How far the value of an assignment may go: an apostrophe opens a text that never ends."""
_CONTAINER = re.compile(r"""[{}\[\]"]""")


class Named(NamedTuple):
    """A value to be masked."""

    start: int
    end: int
    masked: str


@functools.lru_cache(maxsize=4_096)
def _is_sensitive(key: str) -> bool:
    return _secrets.SENSITIVE_KEY.search(key) is not None


def is_sensitive(key: str) -> bool:
    """Whether the value under ``key`` is a secret by the key's name."""
    return 0 < len(key) <= _secrets.KEY_LIMIT_CHARS and _is_sensitive(key)


def kind_of(key: str) -> str:
    """What a key's name says its value is, in one of a few words."""
    lowered = key.lower()
    for word in ("pass", "pwd", "token", "cookie", "authorization", "credential", "key", "secret"):
        if word in lowered:
            return {"pass": "password", "pwd": "password"}.get(word, word)
    return "secret"


def hint_places(text: str) -> list[int]:
    """Where a name of a secret may stand, in order; empty for most texts, and cheap then."""
    lowered = text.lower()
    if len(lowered) != len(text):
        # The one letter whose lower case is longer: places must stay those of the text.
        lowered = text.replace("\u0130", "I").lower()
    places: list[int] = []
    for hint in _secrets.KEY_HINTS:
        if hint in lowered:
            places += occurrences(lowered, hint)
    places.sort()
    return places


def has_quoted_name(text: str, places: list[int]) -> bool:
    """Whether one of the places is a sensitive name in quotes: a key of JSON, or the value of one."""
    done = 0
    for at in places:
        if at >= done:
            key, end, _, _ = _quoted_key(text, at)
            if key and is_sensitive(key):
                return True
            done = end
    return False


def mask_named(text: str, places: list[int], *, parsed: bool = False) -> tuple[str, int]:
    """Mask the values after sensitive names; the text and how many there were. Linear in the text.

    ``parsed``: the text is JSON whose objects and arrays have been dealt with.
    """
    pieces: list[str] = []
    kept_to, found, done = 0, 0, 0
    for at in places:
        if at < done:
            continue
        named, done = _named_at(text, at, parsed)
        if named is not None and named.start >= kept_to:
            pieces += (text[kept_to : named.start], named.masked)
            kept_to, found = named.end, found + 1
            done = max(done, named.end)
    return ("".join((*pieces, text[kept_to:])), found) if found else (text, 0)


def _named_at(text: str, at: int, parsed: bool) -> tuple[Named | None, int]:
    """The secret whose name has its hint at ``at``, and where to go on looking."""
    key, end, escape, quote = _quoted_key(text, at)
    if key and is_sensitive(key):
        colon = _COLON.match(text, end) or _NEXT_VALUE.match(text, end)
        if colon is not None:
            return _value_in_quotes(text, colon.end(), key, escape, quote, parsed), end
    return _assigned(text, at)


def _quoted_key(text: str, at: int) -> tuple[str, int, int, str]:
    """The quoted name around ``at``: name, end with its quote, backslashes before it, quote."""
    match = _KEY_END.match(text, at)
    if match is None:
        return "", at + 1, 0, ""
    quote, escape = match.group("quote"), len(match.group("escape"))
    low = max(0, at - _secrets.KEY_LIMIT_CHARS)
    start = text.rfind(quote, low, at)
    if start < 0 or _backslashes_before(text, start, escape + 1) != escape:
        return "", at + 1, 0, ""
    key = text[start + 1 : match.start("escape")]
    return ("", at + 1, 0, "") if "\n" in key else (key, match.end(), escape, quote)


def _backslashes_before(text: str, at: int, limit: int) -> int:
    head = text[max(0, at - limit) : at]
    return len(head) - len(head.rstrip("\\"))


def _value_in_quotes(
    text: str, at: int, key: str, escape: int, quote: str, parsed: bool
) -> Named | None:
    """The value of a quoted key: a text, a number, or a container cut from its JSON."""
    opening = _OPEN.match(text, at)
    if opening is not None:
        start = opening.end()
        end = _text_end(text, start, opening.group("quote"), len(opening.group("escape")))
        return _masked(start, end, key, text)
    kind, marks = kind_of(key), "\\" * escape + quote
    if text[at : at + 1] in {"{", "["} and quote == '"':
        if parsed:
            return None
        end = _container_end(text, at)
        return Named(at, end, f"{marks}{mask(kind, text[at:end])}{marks}")
    number = _NUMBER.match(text, at)
    # A pin may be a number; a "first_token" in seconds is none.
    if number is not None and kind in {"password", "secret"}:
        return Named(at, number.end(), f"{marks}{mask(kind, number.group())}{marks}")
    return None


def _masked(start: int, end: int, key: str, text: str) -> Named | None:
    value = text[start:end]
    if not value or is_mask(value):
        return None
    return Named(start, end, mask(kind_of(key), value))


def _text_end(text: str, start: int, quote: str, escape: int, limit: int | None = None) -> int:
    """Where the text that starts at ``start`` ends, its quotes escaped ``escape`` times; may be cut.

    -1 when it does not end within ``limit`` characters.
    """
    period, at = 2 * (escape + 1), start
    while True:
        found = text.find(quote, at) if limit is None else text.find(quote, at, start + limit)
        if found < 0:
            return len(text) if limit is None or len(text) <= start + limit else -1
        run = len(text[at:found]) - len(text[at:found].rstrip("\\"))
        # A quote inside has more backslashes than the closing one; that of a JSON around it has fewer.
        if run % period <= escape:
            return found - run if run % period < escape else found - escape
        at = found + 1


def _container_end(text: str, start: int) -> int:
    depth = 0
    for match in _CONTAINER.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(match.group(), 0)
        if depth == 0:
            return match.end()
    return len(text)


def _assigned(text: str, at: int) -> tuple[Named | None, int]:
    """``NAME=value``, ``name: value``, ``--name value``, a header."""
    head = text[max(0, at - _secrets.KEY_LIMIT_CHARS) : at]
    start = at - (len(head) - len(head.rstrip(_WORD_CHARS)))
    word_end = _WORD.match(text, at)
    end = word_end.end() if word_end is not None else at
    if end - start > _secrets.KEY_LIMIT_CHARS or text.startswith("[redacted:", max(0, start - 10)):
        return None, end
    word = text[start:end].lstrip("-.")
    if not is_sensitive(word):
        word = _two_words(text, start, end)
        if not is_sensitive(word):
            return None, max(end, at + 1)
    sign = _ASSIGN.match(text, end)
    if sign is not None:
        return _assigned_value(
            text, sign.end(), word, spaced=sign.group() != sign.group("sign")
        ), end
    if text[start : start + 2] == "--" and text[end : end + 1] == " ":
        return _assigned_value(text, end + 1, word, spaced=True), end
    return None, end


def _two_words(text: str, start: int, end: int) -> str:
    """The name with the word before it: `API key`."""
    if text[start - 1 : start] != " ":
        return ""
    head = text[max(0, start - 20) : start - 1]
    return head[len(head.rstrip(_WORD_CHARS)) :] + text[start - 1 : end]


def _assigned_value(text: str, at: int, name: str, *, spaced: bool) -> Named | None:
    opening = _OPEN.match(text, at)
    if opening is not None:
        start = opening.end()
        escape = len(opening.group("escape"))
        end = _text_end(text, start, opening.group("quote"), escape, _TEXT_LIMIT_CHARS)
        if end < 0:
            end = start + _TEXT_LIMIT_CHARS
        return None if is_reference(text[start:end], name) else _masked(start, end, name, text)
    kind = kind_of(name)
    if kind in {"authorization", "cookie"} or "auth" in name.lower():
        header = _header_value(text, at, kind)
        if header is not None:
            return header
    bare = _BARE.match(text, at)
    if bare is None or is_mask(bare.group()):
        return None
    value = bare.group().rstrip(")]}.:!?")
    if not value or is_reference(value, name, assigned=not spaced):
        return None
    following = text[bare.end() : bare.end() + 8].lstrip(" \t")
    ends_line = not following or following[0] in "\r\n,;\"'\\&<`"
    if spaced and not ends_line and is_plain_words(value):
        return None
    return Named(at, at + len(value), mask(kind, value))


def _header_value(text: str, at: int, kind: str) -> Named | None:
    """What follows `Authorization:` or `Cookie:`; the scheme stays readable."""
    if kind == "cookie":
        line = _REST_OF_LINE.match(text, at) if _PAIR.match(text, at) else None
        if line is None or is_mask(line.group()):
            return None
        return Named(at, line.end(), mask(kind, line.group()))
    scheme = _SCHEME.match(text, at)
    if scheme is None:
        return None
    whole = scheme.group("scheme").lower() in {"digest", "aws4-hmac-sha256"}
    sent = (_REST_OF_LINE if whole else _SENT).match(text, scheme.end())
    if sent is None or is_mask(sent.group()):
        return None
    kind = "bearer" if scheme.group("scheme").lower() == "bearer" else kind
    return Named(scheme.end(), sent.end(), mask(kind, sent.group()))
