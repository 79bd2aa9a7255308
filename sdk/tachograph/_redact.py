"""Masking of secrets, on the encoded request, so that whatever made a span cannot slip past it.

By name: the value of an attribute, and of any key inside a text (JSON, escaped or cut JSON, headers,
assignments), whose name says that it holds a secret. By shape: what looks like a key, a token, a private
key, a card, a password in a URL, anywhere in a text. By the user's own rules. A few substring searches
decide whether a value needs a closer look; most do not. A value that cannot be examined is replaced,
never passed on. The work is linear in the text, and only so much of a text is passed on at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tachograph._guard import pass_on, say_rarely
from tachograph._named import has_quoted_name, hint_places, is_sensitive, kind_of, mask_named
from tachograph._rules import UNREADABLE, Hook, RuleError, Rules
from tachograph._screen import best_engine, suspects
from tachograph._shapes import is_mask, mask, mask_shapes
from tachograph_schemas import names

__all__ = ["Hook", "Redactor", "is_sensitive", "mask"]

EXAMINED_LIMIT_CHARS = 4 << 20
"""What is longer than this is cut, as no collector takes it whole: unexamined text must not leave."""
_NESTED_LIMIT = 4
"""JSON in JSON in JSON: tool arguments inside messages inside a payload are three."""
_NAME_KEYS = ("name", "key", "field", "label", "header", "variable", "parameter", "id")
_VALUE_KEYS = ("value", "val", "v", "secret", "default", "content")
_HEADER_NAMES = frozenset(
    ("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key")
)
_SCHEMA_KEYS = frozenset(
    [
        "type",
        "title",
        "description",
        "format",
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "enum",
        "anyOf",
        "oneOf",
        "allOf",
        "items",
        "properties",
        "required",
        "nullable",
        "additionalProperties",
        "$ref",
        "default",
        "examples",
        "const",
    ]
)


class Redactor:
    """Masks secrets in texts and OTLP requests. Keeps no state between calls."""

    def __init__(
        self,
        hooks: Iterable[Hook | str] = (),
        *,
        paths: Iterable[str] = (),
        emails: bool = False,
    ) -> None:
        self.rules = Rules(hooks, paths)
        self.emails = emails
        # What the user's rules look for, only they know.
        self._by_screen = not self.rules
        best_engine()

    def suspects(self, spans: Sequence[bytes]) -> Sequence[int]:
        """The places of those, as protobuf, that take a closer look; the others surely hold nothing to mask."""
        return suspects(spans, emails=self.emails) if self._by_screen else range(len(spans))

    def redact_request(self, request: Any) -> None:
        """Mask an ExportTraceServiceRequest in place. Never raises; counts in ``tacho.redacted_count``."""
        for resource_spans in request.resource_spans:
            self.redact_attributes(resource_spans.resource.attributes)
            for scope_spans in resource_spans.scope_spans:
                self.redact_attributes(scope_spans.scope.attributes)
                for span in scope_spans.spans:
                    self.redact_span(span)

    def redact_span(self, span: Any) -> None:
        """Mask a protobuf Span in place. Never raises; counts in ``tacho.redacted_count``."""
        masked = self.redact_attributes(span.attributes)
        for event in span.events:
            masked += self.redact_attributes(event.attributes) + self._field("event", event, "name")
        for link in span.links:
            masked += self.redact_attributes(link.attributes)
        masked += self._field("status", span.status, "message") + self._field("name", span, "name")
        if masked:
            counter = span.attributes.add()
            counter.key = names.REDACTED_COUNT
            counter.value.int_value = masked

    def _field(self, key: str, owner: Any, field: str) -> int:
        text, count = self.redact(key, getattr(owner, field))
        if count:
            setattr(owner, field, text)
        return count

    def redact_attributes(self, attributes: Any) -> int:
        """Mask a list of KeyValue in place; how many values were masked. Never raises."""
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
            cut = len(text) - EXAMINED_LIMIT_CHARS
            if cut > 0:
                head, count = self.redact(key, text[:EXAMINED_LIMIT_CHARS])
                return f"{head} [{cut} characters were not examined and left out]", count + 1
            masked, count = self._redact(key, text, 0)
            ruled, found = self.rules.apply(key, masked)
        except RuleError:
            return UNREADABLE, 1
        except BaseException as error:
            pass_on(error)
            say_rarely(
                "redact",
                "tachograph: a value could not be examined for secrets and was replaced: %s",
                type(error).__name__,
            )
            return UNREADABLE, 1
        else:
            return ruled, count + found

    def _redact(self, key: str, text: str, depth: int) -> tuple[str, int]:
        if not text or is_mask(text):
            return text, 0
        if is_sensitive(key):
            return mask(kind_of(key), text), 1
        text, count = self._by_names(text, depth)
        text, found = mask_shapes(text, emails=self.emails)
        return text, count + found

    def _by_names(self, text: str, depth: int) -> tuple[str, int]:
        places = hint_places(text)
        if not places:
            return text, 0
        found, parsed = 0, None
        if depth < _NESTED_LIMIT and '"' in text and has_quoted_name(text, places):
            parsed = _parsed(text)
            if isinstance(parsed, (dict, list, str)):
                cleaned, found = self._walk(parsed, "", depth + 1)
                if found:
                    text = json.dumps(cleaned, ensure_ascii=False, separators=(",", ":"))
                    # A lone surrogate was an escape before parsing; protobuf takes none.
                    text = text.encode("utf-8", "replace").decode("utf-8")
                    places = hint_places(text)
        # Also after a walk: of two equal keys only one survives parsing, and maybe the harmless one.
        text, more = mask_named(text, places, parsed=parsed is not None)
        return text, found + more

    def _walk(self, value: Any, key: str, depth: int) -> tuple[Any, int]:
        if isinstance(value, str):
            return self._redact(key, value, depth)
        if isinstance(value, dict):
            if is_sensitive(key) and not _is_schema(value):
                return mask(kind_of(key), json.dumps(value, sort_keys=True)), 1
            secret = _named_value(value)
            walked = {
                name: self._walk(item, key if name == secret else name, depth)
                for name, item in value.items()
            }
            if secret is not None and isinstance(value[secret], (str, int, float)):
                walked[secret] = mask("secret", str(value[secret])), 1
            return {name: item for name, (item, _) in walked.items()}, _total(walked.values())
        if isinstance(value, list):
            if _is_header(value) and not is_mask(value[1]):
                return [value[0], mask(kind_of(value[0]), value[1])], 1
            items = [self._walk(item, key, depth) for item in value]
            return [item for item, _ in items], _total(items)
        # A pin may be a number; a "first_token" in seconds is none.
        numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
        if numeric and is_sensitive(key) and kind_of(key) in {"password", "secret"}:
            return mask(kind_of(key), str(value)), 1
        return value, 0


def _parsed(text: str) -> Any:
    if text.lstrip()[:1] not in {"{", "[", '"'}:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _named_value(value: dict[str, Any]) -> str | None:
    """The key of the secret in ``{"name": "password", "value": ...}``; None when it is no such pair."""
    lowered = {name.lower(): name for name in value}
    for name_key in _NAME_KEYS:
        said = value.get(lowered.get(name_key, ""))
        if isinstance(said, str) and is_sensitive(said):
            for value_key in _VALUE_KEYS:
                held = lowered.get(value_key)
                if held is not None and value[held] and not is_mask(str(value[held])):
                    return held
    return None


def _is_header(value: list[Any]) -> bool:
    return (
        len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], str)
        and value[0].lower() in _HEADER_NAMES
    )


def _is_schema(value: dict[str, Any]) -> bool:
    """Whether this describes a parameter called `password` instead of holding one."""
    return (
        isinstance(value.get("type"), (str, list))
        and value.keys() <= _SCHEMA_KEYS
        and not value.keys() & {"default", "examples", "const", "enum"}
    )


def _total(results: Iterable[tuple[Any, int]]) -> int:
    return sum(count for _, count in results)
