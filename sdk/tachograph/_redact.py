"""Masking of secrets, on the encoded request, so that whatever made a span cannot slip past it.

By key: the value of an attribute, and of any key of JSON inside an attribute, whose name says that it
holds a secret. By shape: what looks like a key, a token, a private key, a password in a URL, anywhere in
a text. A few substring searches decide whether a value needs a closer look; most do not. A value that
cannot be examined is replaced, never passed on.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from tachograph import _secrets
from tachograph._guard import LOGGER, say_rarely
from tachograph_schemas import names

Hook = Callable[[str, str], str | None] | re.Pattern[str]
"""A regex whose matches are masked, or ``f(attribute_name, text)`` returning the text to keep (or None
to keep it as it is)."""

_UNREADABLE = "[redacted:not examined]"
_NESTED_LIMIT = 4
"""JSON in JSON in JSON: tool arguments inside messages inside a payload are three."""


def mask(kind: str, secret: str) -> str:
    """``[redacted:KIND …last4]``; the last four only of secrets long enough not to be given away."""
    if len(secret) < 16 or kind in {"private_key", "password", "url_password"}:
        return f"[redacted:{kind}]"
    return f"[redacted:{kind} …{secret[-4:]}]"


class Redactor:
    """Masks secrets in texts and OTLP requests. Keeps no state between calls."""

    def __init__(self, hooks: Iterable[Hook | str] = ()) -> None:
        self._hooks: list[Hook] = []
        for hook in hooks:
            try:
                self._hooks.append(re.compile(hook) if isinstance(hook, str) else hook)
            except re.error as error:
                # Without it secrets would pass: mask everything rather than the wrong things.
                LOGGER.error("tachograph: redact pattern %r: %s; all texts are masked", hook, error)
                self._hooks.append(re.compile(r"(?s).+"))

    def redact_request(self, request: Any) -> None:
        """Mask an ExportTraceServiceRequest in place. Never raises; counts in ``tacho.redacted_count``."""
        for resource_spans in request.resource_spans:
            self._attributes(resource_spans.resource.attributes)
            for scope_spans in resource_spans.scope_spans:
                self._attributes(scope_spans.scope.attributes)
                for span in scope_spans.spans:
                    self._span(span)

    def _span(self, span: Any) -> None:
        masked = self._attributes(span.attributes)
        for event in span.events:
            masked += self._attributes(event.attributes)
        for link in span.links:
            masked += self._attributes(link.attributes)
        for owner, field, key in ((span.status, "message", "status"), (span, "name", "name")):
            text, count = self.redact(key, getattr(owner, field))
            if count:
                setattr(owner, field, text)
                masked += count
        if masked:
            counter = span.attributes.add()
            counter.key = names.REDACTED_COUNT
            counter.value.int_value = masked

    def _attributes(self, attributes: Any) -> int:
        return sum(self._any_value(pair.key, pair.value) for pair in attributes)

    def _any_value(self, key: str, value: Any) -> int:
        kind = value.WhichOneof("value")
        if kind == "string_value":
            text, count = self.redact(key, value.string_value)
            if count:
                value.string_value = text
            return count
        if kind == "array_value":
            return sum(self._any_value(key, item) for item in value.array_value.values)
        if kind == "kvlist_value":
            inner = value.kvlist_value.values
            return sum(self._any_value(f"{key}.{pair.key}", pair.value) for pair in inner)
        if kind == "bytes_value":
            text, count = self.redact(key, value.bytes_value.decode("latin-1"))
            if count:
                value.string_value = text
            return count
        return 0

    def redact(self, key: str, text: str) -> tuple[str, int]:
        """``text``, found under ``key``, with its secrets masked, and how many were. Never raises."""
        try:
            return self._redact(key, text, 0)
        except Exception as error:
            say_rarely(
                "redact",
                "tachograph: a value could not be examined for secrets and was replaced: %s",
                type(error).__name__,
            )
            return _UNREADABLE, 1

    def _redact(self, key: str, text: str, depth: int) -> tuple[str, int]:
        if not text:
            return text, 0
        if is_sensitive(key):
            return mask(_kind_of(key), text), 1
        text, count = self._by_keys(text, depth)
        text, found = _by_shape(text)
        count += found
        if depth == 0:
            for hook in self._hooks:
                text, found = _apply_hook(hook, key, text)
                count += found
        return text, count

    def _by_keys(self, text: str, depth: int) -> tuple[str, int]:
        lowered, found = text.lower(), 0
        if depth < _NESTED_LIMIT and '"' in text and _has_sensitive_key(lowered):
            try:
                parsed = json.loads(text)
            except (ValueError, RecursionError):
                text, found = _by_cut_json(text)
            else:
                if isinstance(parsed, (dict, list, str)):
                    cleaned, found = self._walk(parsed, "", depth + 1)
                    if found:
                        text = json.dumps(cleaned, ensure_ascii=False, separators=(",", ":"))
                        # A lone surrogate was an escape before parsing; protobuf takes none.
                        text = text.encode("utf-8", "replace").decode("utf-8")
        if _secrets.HEADER_HINT in lowered or ("=" in lowered and _has_assignment(lowered)):
            text, more = _secrets.ASSIGNED.subn(_mask_assigned, text)
            found += more
        return text, found

    def _walk(self, value: Any, key: str, depth: int) -> tuple[Any, int]:
        if isinstance(value, str):
            return self._redact(key, value, depth)
        if isinstance(value, dict):
            if is_sensitive(key):
                return mask(_kind_of(key), ""), 1
            walked = {name: self._walk(item, name, depth) for name, item in value.items()}
            return {name: item for name, (item, _) in walked.items()}, _total(walked.values())
        if isinstance(value, list):
            items = [self._walk(item, key, depth) for item in value]
            return [item for item, _ in items], _total(items)
        # A pin may be a number; a "first_token" in seconds is none.
        numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
        if numeric and is_sensitive(key) and _kind_of(key) in {"password", "secret"}:
            return mask(_kind_of(key), ""), 1
        return value, 0


@functools.lru_cache(maxsize=4_096)
def _is_sensitive(key: str) -> bool:
    return _secrets.SENSITIVE_KEY.search(key) is not None


def is_sensitive(key: str) -> bool:
    """Whether the value under ``key`` is a secret by the key's name."""
    return 0 < len(key) <= _secrets.KEY_LIMIT_CHARS and _is_sensitive(key)


def _has_sensitive_key(lowered: str) -> bool:
    """Whether a JSON key (its quotes maybe escaped) of that kind is in the text."""
    for hint in _secrets.KEY_HINTS:
        at = lowered.find(hint)
        while at >= 0:
            end = lowered.find('"', at, at + _secrets.KEY_LIMIT_CHARS)
            if end >= 0 and lowered[end + 1 : end + 4].lstrip().startswith(":"):
                start = lowered.rfind('"', max(0, at - _secrets.KEY_LIMIT_CHARS), at) + 1
                if is_sensitive(lowered[start:end].rstrip("\\")):
                    return True
            at = lowered.find(hint, at + len(hint))
    return False


def _has_assignment(lowered: str) -> bool:
    return any(hint in lowered for hint in _secrets.ASSIGNED_HINTS)


def _by_shape(text: str) -> tuple[str, int]:
    """Mask what looks like a secret, trying the expression only where a hint says it may match."""
    places = _places(text)
    if not places:
        return text, 0
    pieces: list[str] = []
    kept_to, found = 0, 0
    for place in sorted(places):
        match = _secrets.VALUE.match(text, place) if place >= kept_to else None
        if match is not None:
            pieces += (text[kept_to:place], _mask_shape(match))
            kept_to, found = match.end(), found + 1
    return ("".join((*pieces, text[kept_to:])), found) if found else (text, 0)


def _places(text: str) -> list[int]:
    places: list[int] = []
    for rough, hints, before in _secrets.VALUE_HINTS:
        if rough in text:
            for hint in hints:
                places += _occurrences(text, hint, before)
    if "@" in text and _secrets.URL_HINT in text:
        places += _occurrences(text, _secrets.URL_HINT, 0)
    return places


def _occurrences(text: str, hint: str, before: int) -> list[int]:
    places = []
    at = text.find(hint)
    while at >= 0:
        places.append(max(at - before, 0))
        at = text.find(hint, at + len(hint))
    return places


def _total(results: Iterable[tuple[Any, int]]) -> int:
    return sum(count for _, count in results)


def _mask_shape(match: re.Match[str]) -> str:
    kind = match.lastgroup or "secret"
    secret = match.group(kind)
    # What leads to the secret (`Bearer `, `://user:`) stays, so that the sentence stays readable.
    start = match.start(kind) - match.start()
    whole = match.group()
    return whole[:start] + mask(kind, secret) + whole[start + len(secret) :]


def _mask_assigned(match: re.Match[str]) -> str:
    if match.group("header"):
        return match.group("header") + mask("authorization", match.group("sent"))
    name = match.group("name")
    if match.group("value").startswith("[redacted"):
        return match.group()
    return name + match.group("sign") + mask(_kind_of(name), match.group("value"))


def _by_cut_json(text: str) -> tuple[str, int]:
    """Mask string values of sensitive keys in JSON that does not parse (cut, or escaped in a text)."""
    found = 0

    def clean(match: re.Match[str]) -> str:
        nonlocal found
        name = match.group("name")
        if not is_sensitive(name):
            return match.group()
        found += 1
        quotes = match.group("quote")
        return f"{match.group('head')}{quotes}{mask(_kind_of(name), '')}{quotes}"

    return _PAIR.sub(clean, text), found


_PAIR = re.compile(
    r"""(?xs)
    (?P<head> (?P<quote> \\*" ) (?P<name> [^"\\]{1,80} ) (?P=quote) \s* : \s* )
    (?: (?P=quote) (?: (?! (?P=quote) ) . )* (?: (?P=quote) | \Z ) | [^\s,}\]"]+ )
    """
)


def _kind_of(key: str) -> str:
    """What a key's name says its value is, in one of a few words."""
    lowered = key.lower()
    for word in ("pass", "pwd", "token", "cookie", "authorization", "credential", "key", "secret"):
        if word in lowered:
            return {"pass": "password", "pwd": "password"}.get(word, word)
    return "secret"


def _apply_hook(hook: Hook, key: str, text: str) -> tuple[str, int]:
    if isinstance(hook, re.Pattern):
        return hook.subn(lambda match: mask("custom", match.group()), text)
    kept = hook(key, text)
    return (text, 0) if kept is None or kept == text else (str(kept), 1)
