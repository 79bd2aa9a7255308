"""Prompt tokens and prompt caching of the bundled model server.

Tokens are a function of the text alone, about one for four characters, so that a recorded demo has the
same usage on every machine. Caching follows the real rules: a prefix of tools, system and messages that
ends at a ``cache_control`` mark is written once, and read by later requests that begin with it.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TTL_S = {"5m": 300.0, "1h": 3600.0}
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class PromptUsage:
    """How the tokens of one prompt are billed. The classes are disjoint."""

    fresh_tokens: int
    read_tokens: int
    write_5m_tokens: int
    write_1h_tokens: int

    @property
    def total_tokens(self) -> int:
        """All tokens of the prompt."""
        return self.fresh_tokens + self.read_tokens + self.write_5m_tokens + self.write_1h_tokens

    def as_usage(self) -> dict[str, Any]:
        """The prompt's part of ``usage``, as the API spells it."""
        return {
            "input_tokens": self.fresh_tokens,
            "cache_creation_input_tokens": self.write_5m_tokens + self.write_1h_tokens,
            "cache_read_input_tokens": self.read_tokens,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.write_5m_tokens,
                "ephemeral_1h_input_tokens": self.write_1h_tokens,
            },
        }


@dataclass(frozen=True, slots=True)
class _Mark:
    """The end of one block of the prompt."""

    digest: bytes
    tokens: int
    """Of the prompt up to here."""
    ttl: str | None
    """The lifetime asked for when the block carries ``cache_control``."""


class PromptCache:
    """Which prompt prefixes are cached, and until when. Thread-safe."""

    def __init__(self, min_tokens: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._min_tokens = min_tokens
        self._clock = clock
        self._expires: dict[bytes, float] = {}
        self._lock = threading.Lock()

    def bill(self, body: Mapping[str, Any]) -> PromptUsage:
        """Count the prompt of ``body``, reading and writing the cache as its marks say."""
        marks = list(_marks(body))
        total = marks[-1].tokens if marks else 0
        breakpoints = [mark for mark in marks if mark.ttl and mark.tokens >= self._min_tokens]
        if not breakpoints:
            return PromptUsage(total, 0, 0, 0)
        with self._lock:
            read = self._longest_cached(marks, breakpoints[-1].tokens)
            written = {"5m": 0, "1h": 0}
            reached = read
            for mark in breakpoints:
                ttl = mark.ttl or "5m"
                self._expires[mark.digest] = self._clock() + TTL_S[ttl]
                if mark.tokens > reached:
                    written[ttl] += mark.tokens - reached
                    reached = mark.tokens
        return PromptUsage(total - reached, read, written["5m"], written["1h"])

    def _longest_cached(self, marks: list[_Mark], last_tokens: int) -> int:
        now = self._clock()
        cached = (
            mark.tokens
            for mark in marks
            if mark.tokens <= last_tokens and self._expires.get(mark.digest, 0.0) > now
        )
        return max(cached, default=0)


def text_tokens(text: str) -> int:
    """About one token for four characters, at least one."""
    return max(1, -(-len(text) // CHARACTERS_PER_TOKEN))


def canonical(value: Any) -> str:
    """JSON with sorted keys, so that equal requests are equal text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def prompt_tokens(body: Mapping[str, Any]) -> int:
    """The tokens of the whole prompt of ``body``, whatever is cached."""
    marks = list(_marks(body))
    return marks[-1].tokens if marks else 0


def _marks(body: Mapping[str, Any]) -> Iterator[_Mark]:
    digest = hashlib.sha256(str(body.get("model")).encode())
    tokens = 0
    segments = list(_segments(body))
    for number, (role, block) in enumerate(segments, start=1):
        content = {key: value for key, value in block.items() if key != "cache_control"}
        text = canonical(content)
        digest.update(f"{role}\0{text}\0".encode())
        tokens += text_tokens(text)
        control = block.get("cache_control")
        if number == len(segments):
            control = control or body.get("cache_control")
        ttl = None if not control else str(control.get("ttl") or "5m")
        yield _Mark(digest.digest(), tokens, ttl)


def _segments(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for tool in body.get("tools") or ():
        yield "tool", tool
    for block in _blocks(body.get("system") or ()):
        yield "system", block
    for message in body["messages"]:
        for block in _blocks(message["content"]):
            yield str(message["role"]), block


def _blocks(content: Any) -> list[Mapping[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
