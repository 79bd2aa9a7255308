"""Inserts with their data in the request body, for the read-write gateway of the tests.

The embedded engine has no request body. The data goes into a file and the statement is turned towards it:
``FORMAT X`` becomes ``FROM INFILE``, and ``input('structure')`` becomes ``file(path, X, 'structure')``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from tachograph_collector.gateway.lexer import Kind, Token, scan
from tachograph_collector.gateway.request import QueryRequest
from tachograph_schemas.gateway_statements import quoted


@contextmanager
def embedded_form(request: QueryRequest) -> Iterator[bytes]:
    """The statement as the embedded engine can run it; its data file lives as long as the context."""
    text = request.query or request.body
    found = _data_format(text)
    if found is None:
        yield request.text
        return
    head, format_name = found
    data = request.body if request.query else _inline_data(text, format_name.end)
    if request.query and not data:
        data = _inline_data(text, format_name.end)
    with tempfile.TemporaryDirectory(prefix="tacho-insert-") as directory:
        path = Path(directory) / "data"
        path.write_bytes(data)
        yield _turned(text, head, format_name, str(path))


def _data_format(text: bytes) -> tuple[list[Token], Token] | None:
    """The tokens before FORMAT and the name of the format, for an insert that brings data in one."""
    head: list[Token] = []
    depth = 0
    for before, token in pairwise(scan(text)):
        if not head and before.name != "insert":
            return None
        depth += before.is_mark(b"(") - before.is_mark(b")")
        if depth == 0 and before.kind is Kind.WORD and before.name == "values":
            return None
        if depth == 0 and before.name == "format" and token.kind is Kind.WORD:
            return head, token
        head.append(before)
    return None


def _inline_data(text: bytes, end: int) -> bytes:
    """What follows the format's name: one line break belongs to the statement, the rest is data."""
    data = text[end:].lstrip(b" \t\r")
    return data.removeprefix(b"\n")


def _turned(text: bytes, head: list[Token], format_name: Token, path: str) -> bytes:
    place = quoted(path).encode()
    for call, bracket in pairwise(head):
        if call.kind is Kind.WORD and call.name == "input" and bracket.is_mark(b"("):
            source = b"file(" + place + b", " + quoted(format_name.text.decode()).encode() + b", "
            return text[: call.start] + source + text[bracket.end : head[-1].end]
    before = text[: head[-1].end]
    for token in head:
        # The engine wants the file named before the settings.
        if token.kind is Kind.WORD and token.name == "settings":
            before, after = text[: token.start], text[token.start : head[-1].end]
            return before + b" FROM INFILE " + place + b" " + after + b" FORMAT " + format_name.text
    return before + b" FROM INFILE " + place + b" FORMAT " + format_name.text
