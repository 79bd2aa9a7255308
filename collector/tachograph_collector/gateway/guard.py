"""What a read-only client may ask: exactly one statement that reads, and reads only tables.

Three lines stand one behind the other, and the first two are the engine's own:

1. the engine's classifier says what the statement is; anything but one READ_ONLY statement is refused;
2. the session is ``readonly = 1``, so the engine refuses table functions with sources, DDL, inserts and settings;
3. this module refuses what the first two are known to let through: scalar ``file()``, ``DESCRIBE url(...)``,
   the settings of nested ``SETTINGS`` clauses (the engine does not check those), and its kin.

**What this cannot do.** The embedded engine has no users, no grants and no sandbox of its own. Whoever holds
the token is a local user with the operator's rights: the third line is a list of names, and a function that
a later engine adds is not on it until somebody puts it there. Anyone who must be kept from the machine's files
must not get the token; several people who need SQL need a ClickHouse server, with its users and grants.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tachograph_collector.gateway.errors import (
    FUNCTION_NOT_ALLOWED,
    NOT_IMPLEMENTED,
    READONLY,
    SYNTAX_ERROR,
    GatewayError,
)
from tachograph_collector.gateway.lexer import Kind, Token, scan, tokens

# Table functions that touch nothing but our tables and the processor. All others the engine has are refused.
_SAFE_TABLE_FUNCTIONS = frozenset(
    [
        "format",
        "generaterandom",
        "generateseries",
        "generate_series",
        "merge",
        "mergetreeindex",
        "mergetreeprojection",
        "null",
        "numbers",
        "numbers_mt",
        "primes",
        "values",
        "view",
        "zeros",
        "zeros_mt",
    ]
)
# Functions that read files or talk to the network. A function can be named without being called
# (`APPLY(file)`, `arrayMap(file, ...)`), so these names are refused wherever an identifier may stand.
_FORBIDDEN_ANYWHERE = frozenset({"file", "catboostevaluate", "executable", "hascolumnintable"})
_AI_FUNCTION = re.compile(
    r"ai(classify|embed|extract|filter|generate\w*|redact|similarity|translate)\Z"
)
_READING = frozenset({"select", "with", "from", "show", "describe", "desc", "explain", "exists"})
_ONLY_READS = "Cannot execute query in readonly mode: the gateway runs statements that read."
_IDENTIFIER_PARAMETER = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as the gateway sees it."""

    sql: bytes
    tokens: Sequence[Token]
    format: str | None
    """The format named in the text."""
    settings: Mapping[str, str]
    """The settings of the outermost ``SETTINGS`` clause."""

    @property
    def is_select(self) -> bool:
        """Whether the engine can stream its result: it does so for nothing but queries."""
        first = next((token for token in self.tokens if not token.is_mark(b"(")), None)
        return first is not None and first.name in {"select", "with", "from"}

    @property
    def has_totals(self) -> bool:
        """Whether the result has rows beside the rows, which the engine's stream leaves out."""
        names = [token.name for token in self.tokens]
        return ("with", "totals") in pairwise(names)


def parse(sql: bytes) -> Statement:
    """Split ``sql`` into tokens and find its format and settings.

    Raises:
        GatewayError: SYNTAX_ERROR, nothing to run or nothing that can be read in one way only.
    """
    found = tokens(sql)
    while found and found[-1].is_mark(b";"):
        found.pop()
    if not found:
        raise GatewayError(SYNTAX_ERROR, "Empty query.")
    return Statement(sql, found, _format(found), _settings(found, nested=False))


def check_beginning(sql: bytes) -> None:
    """Refuse an insert before its data is looked at, which need not be text.

    Raises:
        GatewayError: READONLY.
    """
    first = next(scan(sql), None)
    if first is not None and first.name == "insert":
        raise GatewayError(READONLY, _ONLY_READS)


def check_text(
    statement: Statement, parameters: Mapping[str, str], forbidden: frozenset[str]
) -> None:
    """Refuse what the engine's own protections let through.

    Args:
        statement: the statement.
        parameters: the values of its query parameters.
        forbidden: lower-cased names of the table functions to refuse (:func:`forbidden_table_functions`).

    Raises:
        GatewayError: FUNCTION_NOT_ALLOWED or READONLY.
    """
    for token, following in _pairs(statement.tokens):
        name = token.name
        if _is_forbidden(name) or (
            name in forbidden and following is not None and following.is_mark(b"(")
        ):
            raise GatewayError(
                FUNCTION_NOT_ALLOWED,
                f"Function {name} is not allowed through the gateway. If it is meant as text, write it in "
                "single quotes.",
            )
        if name == "outfile":
            raise GatewayError(READONLY, "INTO OUTFILE is not allowed through the gateway.")
    # A parameter of type Identifier puts a name where no token shows it.
    if any(token.name == "identifier" for token in statement.tokens):
        for value in parameters.values():
            if "\\" in value or any(
                _is_forbidden(word.lower()) for word in _IDENTIFIER_PARAMETER.findall(value)
            ):
                raise GatewayError(FUNCTION_NOT_ALLOWED, f"Identifier {value!r} is not allowed.")


def check_class(statement: Statement, kind: str, count: int) -> None:
    """Refuse anything but one reading statement, by what the engine's classifier says of it.

    Raises:
        GatewayError: READONLY, NOT_IMPLEMENTED (several statements) or SYNTAX_ERROR.
    """
    if kind == "UNKNOWN":
        # The engine cannot parse it. Running it yields the engine's own message, unless what comes before
        # the mistake is a statement by itself.
        if statement.tokens[0].name not in _READING or any(
            token.is_mark(b";") for token in statement.tokens
        ):
            raise GatewayError(SYNTAX_ERROR, "Syntax error: the engine cannot parse the statement.")
        return
    if kind != "READ_ONLY":
        raise GatewayError(READONLY, _ONLY_READS)
    if count != 1:
        raise GatewayError(NOT_IMPLEMENTED, "Multi-statements are not allowed.")


def nested_settings(statement: Statement) -> dict[str, str]:
    """The settings of every ``SETTINGS`` clause, however deep."""
    return _settings(statement.tokens, nested=True)


def forbidden_table_functions(engine_has: Iterable[str]) -> frozenset[str]:
    """Of the table functions of the engine, those to refuse, lower-cased."""
    return frozenset(name.lower() for name in engine_has) - _SAFE_TABLE_FUNCTIONS


def _is_forbidden(name: str) -> bool:
    return name in _FORBIDDEN_ANYWHERE or _AI_FUNCTION.match(name) is not None


def _pairs(found: Sequence[Token]) -> Iterable[tuple[Token, Token | None]]:
    return zip(found, [*found[1:], None], strict=True)


def _format(found: Sequence[Token]) -> str | None:
    """The name behind the last FORMAT outside parentheses, with nothing after it but settings."""
    depth = 0
    for index in range(len(found) - 1, 0, -1):
        token = found[index - 1]
        depth += found[index].is_mark(b")") - found[index].is_mark(b"(")
        if depth == 0 and token.name == "format" and token.kind is Kind.WORD:
            behind = found[index + 1] if index + 1 < len(found) else None
            if found[index].kind is Kind.WORD and (behind is None or behind.name == "settings"):
                return found[index].text.decode("ascii")
    return None


def _settings(found: Sequence[Token], *, nested: bool) -> dict[str, str]:
    settings: dict[str, str] = {}
    depth = 0
    for index, token in enumerate(found):
        depth += token.is_mark(b"(") - token.is_mark(b")")
        if token.name == "settings" and (nested or depth == 0):
            settings.update(_assignments(found, index + 1))
    return settings


def _assignments(found: Sequence[Token], index: int) -> dict[str, str]:
    """``name = value, name`` from ``index`` on; empty when it is no list of settings but a column of that name."""
    settings: dict[str, str] = {}
    while index < len(found) and found[index].is_identifier:
        name = found[index].text.decode("utf-8", "replace")
        index += 1
        if _ends_setting(found, index):
            # A name alone switches the setting on.
            settings[name] = "1"
        elif found[index].is_mark(b"="):
            index += 2 if _is_mark_at(found, index + 1, b"=") else 1
            settings[name] = _value(found, index)
            index += 2 if _is_mark_at(found, index, b"-") else 1
        else:
            break
        if not _is_mark_at(found, index, b","):
            break
        index += 1
    return settings


def _value(found: Sequence[Token], index: int) -> str:
    """One literal. Anything longer could hide the settings behind it."""
    sign = b"-" if _is_mark_at(found, index, b"-") else b""
    index += len(sign)
    fraction = index
    value = found[index] if index < len(found) else None
    if value is None or value.kind in (Kind.MARK, Kind.QUOTED):
        raise GatewayError(READONLY, "The gateway takes only plain values in a SETTINGS clause.")
    if value.kind is Kind.NUMBER and _is_mark_at(found, fraction + 1, b"."):
        raise GatewayError(READONLY, "Write fractions in a SETTINGS clause in single quotes.")
    if not _ends_setting(found, index + 1):
        raise GatewayError(READONLY, "The gateway takes only plain values in a SETTINGS clause.")
    return (sign + _literal(value)).decode("utf-8", "replace")


def _ends_setting(found: Sequence[Token], index: int) -> bool:
    if index >= len(found):
        return True
    return found[index].kind is Kind.WORD or any(
        found[index].is_mark(mark) for mark in (b",", b")")
    )


def _is_mark_at(found: Sequence[Token], index: int, mark: bytes) -> bool:
    return index < len(found) and found[index].is_mark(mark)


def _literal(token: Token) -> bytes:
    if token.kind is not Kind.STRING or not token.text.startswith(b"'"):
        return token.text
    return token.text[1:-1].replace(b"''", b"'").replace(b"\\'", b"'").replace(b"\\\\", b"\\")
