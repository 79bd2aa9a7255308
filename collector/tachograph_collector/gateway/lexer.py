"""Words, strings and comments of ClickHouse SQL: enough to see what a statement names, not what it means.

The engine's own parser decides what runs. This one exists so that a name inside a string or a comment
is not taken for a call, and a call is not hidden in one. Where the engine's rules are odd enough that two
readings are thinkable (typographic quotes, stray dollar signs), the text is refused instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from tachograph_collector.gateway.errors import SYNTAX_ERROR, GatewayError

_WORD = re.compile(rb"[A-Za-z_][A-Za-z0-9_$]*")
_NUMBER = re.compile(rb"[0-9][A-Za-z0-9_]*")
_HEREDOC = re.compile(rb"\$[A-Za-z0-9_]*\$")
_LINE_COMMENT = (b"--", b"//", b"# ", b"#!")
_TYPOGRAPHIC_QUOTES = tuple(chr(point).encode() for point in (0x2018, 0x2019, 0x201C, 0x201D))


class Kind(Enum):
    """What a token is."""

    WORD = auto()
    QUOTED = auto()
    """An identifier in backquotes or double quotes."""
    STRING = auto()
    NUMBER = auto()
    MARK = auto()
    """One byte of punctuation."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token: ``text`` is the identifier or the raw bytes, ``start`` and ``end`` are byte offsets."""

    kind: Kind
    text: bytes
    start: int
    end: int

    @property
    def name(self) -> str:
        """The lower-cased identifier, empty for anything that is none."""
        return self.text.decode("utf-8", "replace").lower() if self.is_identifier else ""

    @property
    def is_identifier(self) -> bool:
        """Whether the engine may take it for a name."""
        return self.kind in (Kind.WORD, Kind.QUOTED)

    def is_mark(self, mark: bytes) -> bool:
        """Whether it is this punctuation."""
        return self.kind is Kind.MARK and self.text == mark


def tokens(sql: bytes) -> list[Token]:
    """The tokens of ``sql``, comments and white space left out.

    Raises:
        GatewayError: SYNTAX_ERROR, something is not closed or can be read in two ways.
    """
    if b"\0" in sql:
        raise _refusal("a zero byte")
    return list(scan(sql))


def scan(sql: bytes) -> Iterator[Token]:
    """The tokens one by one, so that what follows a statement (the data of an insert) need not be SQL."""
    position, end = 0, len(sql)
    while position < end:
        byte = sql[position : position + 1]
        if sql.startswith(_LINE_COMMENT, position):
            position = _line_end(sql, position)
        elif sql.startswith(b"/*", position):
            position = _comment_end(sql, position)
        elif (found := _WORD.match(sql, position)) is not None:
            yield Token(Kind.WORD, found.group(), position, found.end())
            position = found.end()
        elif (found := _NUMBER.match(sql, position)) is not None:
            yield Token(Kind.NUMBER, found.group(), position, found.end())
            position = found.end()
        elif byte in b"'`\"":
            stop = _quote_end(sql, position, byte)
            yield _quoted(sql, position, stop, byte)
            position = stop
        elif byte == b"$":
            stop = _heredoc_end(sql, position)
            yield Token(Kind.STRING, sql[position:stop], position, stop)
            position = stop
        else:
            if sql.startswith(_TYPOGRAPHIC_QUOTES, position):
                raise _refusal("a typographic quotation mark; use ' \" or `")
            if not byte.isspace() and byte.isascii():
                yield Token(Kind.MARK, byte, position, position + 1)
            position += 1


def _line_end(sql: bytes, position: int) -> int:
    found = sql.find(b"\n", position)
    return len(sql) if found < 0 else found + 1


def _comment_end(sql: bytes, position: int) -> int:
    depth = 0
    for found in re.compile(rb"/\*|\*/").finditer(sql, position):
        depth += 1 if found.group() == b"/*" else -1
        if depth == 0:
            return found.end()
    raise _refusal("a comment that is not closed")


def _quote_end(sql: bytes, position: int, quote: bytes) -> int:
    at = position + 1
    while at < len(sql):
        byte = sql[at : at + 1]
        if byte == b"\\":
            at += 2
        elif byte != quote:
            at += 1
        elif sql[at + 1 : at + 2] == quote:
            at += 2
        else:
            return at + 1
    raise _refusal("a quotation that is not closed")


def _quoted(sql: bytes, start: int, end: int, quote: bytes) -> Token:
    if quote == b"'":
        return Token(Kind.STRING, sql[start:end], start, end)
    content = sql[start + 1 : end - 1]
    if b"\\" in content:
        raise _refusal("an escape in a quoted identifier")
    return Token(Kind.QUOTED, content.replace(quote * 2, quote), start, end)


def _heredoc_end(sql: bytes, position: int) -> int:
    found = _HEREDOC.match(sql, position)
    if found is None:
        raise _refusal("a dollar sign outside a string")
    stop = sql.find(found.group(), found.end())
    if stop < 0:
        raise _refusal("a heredoc that is not closed")
    return stop + len(found.group())


def _refusal(what: str) -> GatewayError:
    return GatewayError(SYNTAX_ERROR, f"The gateway does not accept {what}.")
