"""What the demo agents stand on: a model to talk to, and a job to do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any

DEFAULT_MODEL = "claude-haiku-4-5"


@dataclass(frozen=True, slots=True)
class Claude:
    """Which model to use, and how to construct a client for it: ``anthropic.Anthropic(**options)``."""

    model: str
    options: dict[str, Any] = field(default_factory=dict)
    bundled: bool = False
    """Whether the bundled model server answers, not the real API."""
    environment: dict[str, str] = field(default_factory=dict)
    """For processes that an agent starts: where they record to."""


@dataclass(slots=True)
class Job:
    """What an agent is asked to do, and the run that did it."""

    id: str
    task: str
    customer: str
    user: str
    session: str
    run_id: str = ""
    """Written by the agent: whoever holds the job finds the record of it."""


def tool_result(call: Any, value: Any) -> dict[str, Any]:
    """The block that answers a tool call of the model: ``value`` as JSON, or an exception as an error."""
    failed = isinstance(value, Exception)
    if failed:
        content = f"{type(value).__name__}: {value}"
    else:
        plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
        content = json.dumps(plain, ensure_ascii=False)
    return {
        "type": "tool_result",
        "tool_use_id": call.id,
        "content": content,
        "is_error": failed,
    }


def tool_results(calls: Sequence[Any], values: Sequence[Any]) -> dict[str, Any]:
    """The message that answers all tool calls of one answer, each with its value."""
    pairs = zip(calls, values, strict=True)
    return {"role": "user", "content": [tool_result(call, value) for call, value in pairs]}


def tool_calls(answer: Any) -> list[Any]:
    """The tool calls in an answer."""
    return [block for block in answer.content if block.type == "tool_use"]


def tool_call(answer: Any) -> Any:
    """The tool call in an answer that was told to make one.

    Raises:
        ValueError: it made none: the model refused, or ran out of tokens.
    """
    calls = tool_calls(answer)
    if not calls:
        raise ValueError(f"the model called no tool; it stopped with {answer.stop_reason}")
    return calls[0]


def text_of(answer: Any) -> str:
    """The text of an answer."""
    return "".join(block.text for block in answer.content if block.type == "text")


@contextmanager
def connect(
    *, seconds_per_token: float, environment: dict[str, str] | None = None
) -> Iterator[Claude]:
    """The real API when ``ANTHROPIC_API_KEY`` is set, else the bundled server while the block runs.

    ``TACHO_DEMO_MODEL`` names another model.
    """
    model = os.environ.get("TACHO_DEMO_MODEL") or DEFAULT_MODEL
    if os.environ.get("ANTHROPIC_API_KEY"):
        yield Claude(model, environment=environment or {})
        return
    from tachograph.demo.model_server import MODELS, ModelServer
    from tachograph.demo.scripts import SCRIPTS

    server = ModelServer(
        SCRIPTS,
        models=(*MODELS, model),
        seconds_per_token=seconds_per_token,
        # The real API caches from some thousand tokens on; the demo's prompts are short.
        min_cacheable_tokens=200,
    )
    with server:
        options = {"api_key": "bundled", "base_url": server.url}
        yield Claude(model, options, bundled=True, environment=environment or {})
