"""What a script of the bundled model server sees of a request, and what it may answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Text:
    """A text block of an answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """A thinking block of an answer. The server drops it unless the request asks for thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A request to run a tool. Several in one answer are parallel calls."""

    name: str
    input: JsonObject


Block = Text | Thinking | ToolCall


@dataclass(frozen=True, slots=True)
class Fault:
    """An error that the server answers with, in the shape of the real API."""

    status: int
    type: str
    message: str
    retry_after_s: float | None = None
    """Sent as the ``retry-after`` header, seconds."""
    mid_stream: bool = False
    """For a streamed answer: begin with status 200 and send the error as an event after some text."""


OVERLOADED = Fault(529, "overloaded_error", "Overloaded", retry_after_s=0.02)
RATE_LIMITED = Fault(
    429,
    "rate_limit_error",
    "This request would exceed your organization's rate limit.",
    retry_after_s=0.02,
)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A tool call of an earlier answer, with what the agent sent back for it."""

    name: str
    input: JsonObject
    content: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class Conversation:
    """The parts of a request that a script decides on."""

    system: str
    messages: Sequence[JsonObject]
    tools: tuple[str, ...]
    """Names of the tools on offer."""

    @property
    def first_text(self) -> str:
        """The text of the first user message: the task."""
        return block_text(self.messages[0]["content"])

    @property
    def turns(self) -> int:
        """How many answers the model has given already."""
        return sum(message["role"] == "assistant" for message in self.messages)

    @property
    def results(self) -> list[ToolResult]:
        """Every tool result so far, oldest first, each joined with the call that it answers."""
        calls: dict[str, JsonObject] = {}
        results: list[ToolResult] = []
        for message in self.messages:
            if isinstance(message["content"], str):
                continue
            for block in message["content"]:
                if block.get("type") == "tool_use":
                    calls[block["id"]] = block
                elif block.get("type") == "tool_result" and block["tool_use_id"] in calls:
                    call = calls[block["tool_use_id"]]
                    text = block_text(block.get("content", ""))
                    failed = bool(block.get("is_error", False))
                    results.append(ToolResult(call["name"], call["input"], text, failed))
        return results

    def results_of(self, tool: str) -> list[ToolResult]:
        """The results of one tool, oldest first."""
        return [result for result in self.results if result.name == tool]


class Script(Protocol):
    """Decides what the model says. One script serves every conversation of its agent."""

    def answers(self, conversation: Conversation) -> bool:
        """Whether this script speaks in ``conversation``."""
        ...

    def reply(self, conversation: Conversation) -> Sequence[Block] | Fault:
        """The blocks of the next answer, or the error to send instead."""
        ...


def block_text(content: Any) -> str:
    """The text in message content: a string, or a list of blocks of which the text ones count."""
    if isinstance(content, str):
        return content
    return "\n".join(str(block["text"]) for block in content if block.get("type") == "text")


def conversation_of(body: JsonObject) -> Conversation:
    """The view of a validated request body."""
    return Conversation(
        system=block_text(body.get("system") or ""),
        messages=body["messages"],
        tools=tuple(tool["name"] for tool in body.get("tools") or ()),
    )
