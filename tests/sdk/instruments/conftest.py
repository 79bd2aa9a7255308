"""The bundled model server with scripts for the instrument's tests, and the official clients on it."""

from __future__ import annotations

import json

import anthropic
import pytest

from tachograph import _consent
from tachograph.demo.conversation import Conversation, Text, Thinking, ToolCall
from tachograph.demo.model_server import ModelServer
from tachograph.testing import captured_spans


class Helper:
    """Calls both tools at once when there are tools, then says what they said; else a long sentence."""

    def answers(self, conversation: Conversation) -> bool:
        return True

    def reply(self, conversation: Conversation):
        if not conversation.tools:
            return [
                Thinking("An easy one."),
                Text("The quick brown fox jumps over the lazy dog. " * 3),
            ]
        if not conversation.results:
            return [
                Text("Looking."),
                ToolCall("read_weather", {"city": "Oslo"}),
                ToolCall("read_weather", {"city": "Bergen"}),
            ]
        return [Text(", ".join(result.content for result in conversation.results))]


@pytest.fixture
def server():
    with ModelServer([Helper()], min_cacheable_tokens=50) as running:
        yield running


@pytest.fixture
def client(server):
    with anthropic.Anthropic(api_key="test-key", base_url=server.url) as made:
        yield made


@pytest.fixture
def spans(request):
    """Spans of the test; the hooks that its module lists in ``HOOKS`` are in force meanwhile."""
    hooks = getattr(request.module, "HOOKS", ())
    for hook in hooks:
        hook.install()
    try:
        with captured_spans() as collected:
            yield collected
    finally:
        for hook in hooks:
            hook.uninstall()


@pytest.fixture
def policies(spans):
    """Puts policies in force for a test."""
    yield _consent.use
    _consent.use(())


@pytest.fixture
def ask():
    """Arguments of a plain request; each test may change its copy."""
    return {
        "model": "claude-haiku-4-5",
        "max_tokens": 300,
        "messages": [{"role": "user", "content": "Say something."}],
    }


@pytest.fixture
def parsed():
    """Reads a JSON attribute of a span."""

    def read(span, attribute):
        return json.loads(span.attributes[attribute])

    return read
