"""What only the user knows to be secret: expressions, functions, places in the record."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from tachograph._guard import LOGGER, pass_on, say_rarely
from tachograph._shapes import is_mask, mask

Hook = Callable[[str, str], str | None] | re.Pattern[str]
"""A regex whose matches are masked, or ``f(attribute_name, text)`` returning the text to keep (or None
to keep it as it is)."""

UNREADABLE = "[redacted:not examined]"
_PATH_LIMIT_CHARS = 512


class RuleError(Exception):
    """A user's rule failed: its value must not leave."""


class Rules:
    """The rules of one program. ``paths`` are globs over dotted paths (`tacho.input.order.card`)."""

    def __init__(self, hooks: Iterable[Hook | str] = (), paths: Iterable[str] = ()) -> None:
        self._hooks: list[Hook] = []
        for hook in hooks:
            try:
                self._hooks.append(re.compile(hook) if isinstance(hook, str) else hook)
            except re.error as error:
                # Without it secrets would pass: mask everything rather than the wrong things.
                LOGGER.error("tachograph: redact pattern %r: %s; all texts are masked", hook, error)
                self._hooks.append(re.compile(r"(?s).+"))
        self.paths = tuple(str(path) for path in paths)
        # fnmatch translates to an expression that never backtracks over a star twice.
        self._paths = [re.compile(fnmatch.translate(path)) for path in self.paths]

    def __len__(self) -> int:
        return len(self._hooks) + len(self._paths)

    @property
    def patterns(self) -> tuple[tuple[str, int], ...]:
        """The expressions and their flags."""
        expressions = (hook for hook in self._hooks if isinstance(hook, re.Pattern))
        return tuple((hook.pattern, hook.flags) for hook in expressions)

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of the functions."""
        functions = (hook for hook in self._hooks if not isinstance(hook, re.Pattern))
        return tuple(
            f"{hook.__module__}.{getattr(hook, '__qualname__', '?')}" for hook in functions
        )

    def apply(self, key: str, text: str) -> tuple[str, int]:
        """The text under the attribute ``key`` after every rule, and how many values were masked.

        Raises:
            RuleError: a function of the user's raised.
        """
        text, found = self.apply_paths(key, text)
        for hook in self._hooks:
            text, more = _apply_hook(hook, key, text)
            found += more
        return text, found

    def apply_paths(self, key: str, text: str) -> tuple[str, int]:
        """The text under the attribute ``key`` after the rules on paths alone, and how many values were masked."""
        if not self._paths:
            return text, 0
        if self._matches(key):
            return (text, 0) if is_mask(text) else (mask("rule", text), 1)
        if text[:1] not in {"{", "["}:
            return text, 0
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            # A path cannot be found in what does not parse; the rules on shapes still apply.
            return text, 0
        cleaned, found = self._walk(key, parsed)
        if not found:
            return text, 0
        text = json.dumps(cleaned, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace").decode("utf-8"), found

    def _matches(self, path: str) -> bool:
        return any(rule.match(path[:_PATH_LIMIT_CHARS]) for rule in self._paths)

    def _walk(self, path: str, value: Any) -> tuple[Any, int]:
        if isinstance(value, dict):
            # What a tape has for an object stands for its fields.
            is_marked = "$" in value
            pairs = {
                name: self._child(path if is_marked else f"{path}.{name}", item)
                for name, item in value.items()
            }
            return {name: item for name, (item, _) in pairs.items()}, _total(pairs.values())
        if isinstance(value, list):
            items = [self._child(f"{path}.{index}", item) for index, item in enumerate(value)]
            return [item for item, _ in items], _total(items)
        return value, 0

    def _child(self, path: str, value: Any) -> tuple[Any, int]:
        if value is not None and self._matches(path):
            text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            return (value, 0) if is_mask(text) else (mask("rule", text), 1)
        return self._walk(path[:_PATH_LIMIT_CHARS], value)


def _total(results: Iterable[tuple[Any, int]]) -> int:
    return sum(count for _, count in results)


def _apply_hook(hook: Hook, key: str, text: str) -> tuple[str, int]:
    if isinstance(hook, re.Pattern):
        return hook.subn(_mask_custom, text)
    try:
        kept = hook(key, text)
        return (text, 0) if kept is None or kept == text else (str(kept), 1)
    except BaseException as error:
        pass_on(error)
        say_rarely(
            "redact rule",
            "tachograph: a redaction function raised %s; the value was replaced",
            type(error).__name__,
        )
        raise RuleError from None


def _mask_custom(match: re.Match[str]) -> str:
    return match.group() if is_mask(match.group()) else mask("custom", match.group())
