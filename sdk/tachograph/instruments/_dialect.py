"""What differs between the model APIs whose clients are recorded; all else is common to them.

The official clients of Anthropic and OpenAI come from one generator, so their seams have the same names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens by class, as the convention counts; None is unknown, never 0."""

    prompt: int | None = None
    """All of the prompt, cache reads and writes included."""
    output: int | None = None
    """All of the output, reasoning included."""
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    raw: Mapping[str, Any] | None = None
    """Attributes of the provider's own beside those of the convention."""


class Builder(Protocol):
    """The answer so far, gathered from the events of a stream."""

    has_content: bool

    def add(self, event: Any) -> None:
        """Take in one event; events of unknown kinds are passed over."""

    def ended(self) -> bool:
        """Whether the event just added was the last one that says anything."""

    def complete(self) -> bool:
        """Whether the answer is whole, though events may follow it."""

    def fields(self) -> Fields:
        """The answer with the content that has come, as the API would have sent it whole."""


class Dialect(Protocol):
    """One way to ask a model."""

    request_id_header: str
    request_id_name: str
    """The attribute for the id under which the provider's support knows the request."""

    def provider_of(self, client: Any) -> str:
        """By the convention's names."""

    def request_facts(self, body: Fields) -> dict[str, Any]:
        """Attributes that the request says."""

    def request_payloads(self, body: Fields) -> Iterable[tuple[str, Any]]:
        """Attributes that are captured as JSON: messages, instructions, tools."""

    def sent(self, client: Any, options: Any) -> Any:
        """The options to send the request with."""

    def answer_facts(self, message: Fields) -> dict[str, Any]:
        """Attributes that the answer says."""

    def output(self, message: Fields) -> list[dict[str, Any]]:
        """The answer in the message JSON of the convention; empty when nothing has come."""

    def usage(self, message: Fields) -> Usage | None:
        """The tokens; None when the answer does not say."""

    def problem(self, message: Fields) -> str | None:
        """Why an answer that came by itself is none."""

    def error_facts(self, error: BaseException) -> dict[str, Any]:
        """What the API said about a refused request."""

    def builder(self) -> Builder:
        """Gathers one stream."""
