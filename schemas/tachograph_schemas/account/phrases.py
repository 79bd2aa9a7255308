"""Turns of phrase that the sentences of all layers share."""

from __future__ import annotations

from tachograph_schemas import names, words
from tachograph_schemas.account import payload
from tachograph_schemas.account.model import Tone
from tachograph_schemas.account.timeline import fact, label
from tachograph_schemas.rows import AccountSpan

Told = tuple[str, Tone, str]
"""A sentence, how it sounds, and a quieter second line."""


def because(span: AccountSpan, chars: int = 240) -> str:
    """``: the limit is $50``; empty when no reason is recorded."""
    reason = words.excerpt(fact(span, names.REASON), chars)
    return f": {reason}" if reason else ""


def named(span: AccountSpan, attribute: str, *prefixes: str) -> str:
    """The name in an attribute, else the span's name without its kind."""
    said = fact(span, attribute) or span.name
    for prefix in prefixes:
        said = said.removeprefix(prefix)
    return label(said)


def quoted(span: AccountSpan, attribute: str, prefix: str) -> str:
    """:func:`named` in quotation marks: rules and checks are often named with whole sentences."""
    return f"“{named(span, attribute, prefix)}”"


def proposal(span: AccountSpan, chars: int = 160) -> str:
    """What was put before a gate or a person."""
    given = payload.parse(span.input_text) if span.input_text else None
    if isinstance(given, str):
        return words.excerpt(given, chars)
    return payload.arguments(given, chars)


def items(text: str, limit: int = 6) -> list[str]:
    """The entries of a JSON array of names, the first few; empty when it is none."""
    found = payload.parse(text) if text else None
    return [label(str(each)) for each in found[:limit]] if isinstance(found, list) else []
