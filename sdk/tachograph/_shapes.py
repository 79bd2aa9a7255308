"""Secrets that are known by their shape, wherever they stand in a text."""

from __future__ import annotations

import base64
import re

from tachograph import _secrets
from tachograph._fingerprint import fingerprint

_MASK = re.compile(
    r"\[redacted:(?:[a-z_]{1,32}(?::[0-9a-f]{4})?|not examined)(?:\][)\]}.,;:!?]{0,4})?"
)
_JSON_NUMBER_AFTER = re.compile(r"\s{0,64}[,}\]]")


def mask(kind: str, secret: str) -> str:
    """``[redacted:KIND:MARK]``; equal secrets have equal marks (see :mod:`tachograph._fingerprint`)."""
    return f"[redacted:{kind}:{fingerprint(secret)}]"


def is_mask(text: str) -> bool:
    """Whether ``text`` is a masked value and nothing more than punctuation after it."""
    return text.startswith("[redacted:") and _MASK.fullmatch(text) is not None


def mask_shapes(text: str, *, emails: bool = False) -> tuple[str, int]:
    """Mask what looks like a secret; the text and how many there were. Linear in the text."""
    text, found = _by_prefix(text)
    text, cards = _cards(text)
    if emails and "@" in text:
        text, addresses = _emails(text)
        return text, found + cards + addresses
    return text, found + cards


def _by_prefix(text: str) -> tuple[str, int]:
    """Try the expression only where a hint says it may match."""
    places = _places(text)
    if not places:
        return text, 0
    pieces: list[str] = []
    kept_to, found = 0, 0
    for place in sorted(places):
        match = _secrets.VALUE.match(text, place) if place >= kept_to else None
        if match is None or not _holds(match):
            continue
        start, end = match.span(match.lastgroup or 0)
        # What leads to the secret (`Bearer `, `://user:`) stays, so that the sentence stays readable.
        pieces += (text[kept_to:start], mask(match.lastgroup or "secret", text[start:end]))
        kept_to, found = end, found + 1
        if match.lastgroup == "aws_key":
            secret = _secrets.AWS_SECRET.search(text, end, end + _secrets.NEAR_CHARS)
            if secret is not None:
                pieces += (text[end : secret.start()], mask("aws_secret", secret.group()))
                kept_to, found = secret.end(), found + 1
    return ("".join((*pieces, text[kept_to:])), found) if found else (text, 0)


def _places(text: str) -> list[int]:
    places: list[int] = []
    for rough, hints in _secrets.VALUE_HINTS:
        if rough in text:
            for hint, before in hints:
                places += occurrences(text, hint, before)
    if "@" in text:
        for hint in _secrets.URL_HINTS:
            places += occurrences(text, hint)
    return places


def occurrences(text: str, hint: str, before: int = 0) -> list[int]:
    """Where ``hint`` stands in ``text``, each less ``before``."""
    places = []
    at = text.find(hint)
    while at >= 0:
        places.append(max(at - before, 0))
        at = text.find(hint, at + len(hint))
    return places


def _holds(match: re.Match[str]) -> bool:
    """Whether a match means what it looks like: `Basic economics` is no header."""
    if match.lastgroup != "basic_auth":
        return True
    sent = match.group("basic_auth")
    try:
        return b":" in base64.b64decode(sent + "=" * (-len(sent) % 4), validate=True)
    except ValueError:
        return False


def _cards(text: str) -> tuple[str, int]:
    pieces: list[str] = []
    kept_to, found = 0, 0
    for start in _secrets.CARD_START.finditer(text):
        match = _secrets.CARD.match(text, start.start())
        if match is None or match.start() < kept_to or not _luhn(match.group()):
            continue
        number = match.group()
        quote = (
            _quote_for(match) if number.isdigit() and text[:64].lstrip()[:1] in {"{", "["} else ""
        )
        masked = mask("card", number.replace(" ", "").replace("-", ""))
        pieces += (text[kept_to : match.start()], f"{quote}{masked}{quote}")
        kept_to, found = match.end(), found + 1
    return ("".join((*pieces, text[kept_to:])), found) if found else (text, 0)


def _luhn(number: str) -> bool:
    total = 0
    for place, digit in enumerate(int(char) for char in reversed(number) if char.isdigit()):
        total += digit if place % 2 == 0 else sum(divmod(2 * digit, 10))
    return total % 10 == 0


def _quote_for(match: re.Match[str]) -> str:
    """The quotes that a number in JSON needs to become a text; none inside a text."""
    text, start = match.string, match.start()
    before = text[max(0, start - 64) : start].rstrip()[-1:]
    if before not in {":", ",", "["} or not _JSON_NUMBER_AFTER.match(text, match.end()):
        return ""
    near = text.rfind('"', max(0, start - 200), start)
    if near < 0:
        return '"'
    # JSON in a text of JSON: its quotes are escaped, as the last one is.
    head = text[max(0, near - 16) : near]
    return "\\" * (len(head) - len(head.rstrip("\\"))) + '"'


def _emails(text: str) -> tuple[str, int]:
    pieces: list[str] = []
    kept_to, found = 0, 0
    for at in occurrences(text, "@"):
        domain = _secrets.EMAIL_DOMAIN.match(text, at + 1)
        head = text[max(kept_to, at - _secrets.EMAIL_NAME_LIMIT_CHARS) : at]
        name = head[len(head.rstrip(_secrets.EMAIL_NAME_CHARS)) :]
        if domain is not None and name:
            start, end = at - len(name), domain.end()
            pieces += (text[kept_to:start], mask("email", text[start:end].lower()))
            kept_to, found = end, found + 1
    return ("".join((*pieces, text[kept_to:])), found) if found else (text, 0)
