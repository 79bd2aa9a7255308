"""Conversations in every bend that clients give them."""

import json

import pytest

from tachograph_dashboard.views.messages import flattened, messages
from tachograph_dashboard.views.text import Budget, code, pretty


def said(payload, role="user"):
    """Roles and parts, short."""
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return [
        (message.role, [(part.kind, part.name or part.text) for part in message.parts])
        for message in messages(text, role)
    ]


CALL = ("assistant", [("call", "get")])


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ("just text", [("user", [("text", "just text")])]),
        ([{"role": "user", "parts": [{"type": "text", "content": "hi"}]}], [("user", [("text", "hi")])]),
        ([{"role": "user", "parts": [{"type": "text", "content": ["a", "b"]}]}], [("user", [("text", "a\nb")])]),
        ([{"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "get", "arguments": '{"a":1}'}]}], [CALL]),
        ([{"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "get", "arguments": "{}"}}]}], [CALL]),
        ([{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "get", "input": {}}]}], [CALL]),
        ([{"role": "model", "parts": [{"function_call": {"name": "get", "args": {}}}]}], [CALL]),
        ([{"type": "function_call", "name": "get", "arguments": "{}", "call_id": "1"}], [("user", [("call", "get")])]),
        ([{"role": "tool", "tool_call_id": "1", "content": "42"}], [("tool", [("result", "42")])]),
        ([{"role": "user", "parts": [{"type": "tool_call_response", "id": "1", "result": "42"}]}], [("user", [("result", "42")])]),
        ([{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "42"}]}], [("user", [("result", "42")])]),
        ({"messages": [{"role": "user", "content": "hi"}], "model": "m"}, [("user", [("text", "hi")])]),
        ({"choices": [{"message": {"role": "assistant", "content": "hi"}}]}, [("assistant", [("text", "hi")])]),
        ({"system": "be kind", "messages": [{"role": "user", "content": "hi"}]},
         [("system", [("text", "be kind")]), ("user", [("text", "hi")])]),
        ([[{"lc": 1, "id": ["x", "HumanMessage"], "kwargs": {"content": "hi", "type": "human"}}]], [("user", [("text", "hi")])]),
        ([{"type": "text", "content": "be kind"}], [("user", [("text", "be kind")])]),
        ({"weather": "fine"}, []),
        ("[broken", [("user", [("text", "[broken")])]),
    ],
)  # fmt: skip
def test_a_message_is_read_in_every_shape(payload, expected):
    """The convention's own JSON, and what providers and frameworks write instead."""
    assert said(payload) == expected


def test_pictures_are_named_and_never_printed():
    """Base64 says nothing to a reader."""
    shown = said([{"role": "user", "content": [{"type": "image", "source": {"media_type": "image/png", "data": "A" * 400}}]}])  # fmt: skip
    assert shown == [("user", [("media", "image/png, 300 bytes, not shown")])]


def test_attributes_flattened_one_by_one_become_messages():
    """OpenInference and OpenLLMetry write one attribute a field."""
    attributes = {
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "hi",
        "llm.input_messages.1.message.role": "assistant",
        "llm.input_messages.1.message.tool_calls.0.tool_call.function.name": "get",
        "llm.input_messages.1.message.tool_calls.0.tool_call.function.arguments": "{}",
        "llm.input_messages.10.message.role": "user",
        "llm.input_messages.10.message.contents.0.message_content.type": "text",
        "llm.input_messages.10.message.contents.0.message_content.text": "bye",
    }
    found = flattened(attributes, "llm.input_messages", "user")
    assert [message.role for message in found] == ["user", "assistant", "user"]
    assert found[1].parts[0].name == "get"
    assert found[2].parts[0].text == "bye"


@pytest.mark.parametrize("payload", ["[" * 9_000, "{}", "[]", "null", '"x"', "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", '[{"role": 3, "parts": 4}]', '{"messages": {"a": [1, null]}}'])  # fmt: skip
def test_nonsense_does_no_harm(payload):
    """Whatever was recorded, reading it never fails."""
    messages(payload, "user")
    flattened({"gen_ai.prompt.0": payload, "gen_ai.prompt.0.role": "user"}, "gen_ai.prompt", "user")


def test_an_object_with_a_program_in_it_reads_as_a_program():
    """Texts with lines are shown as lines, not as escaped strings."""
    assert pretty({"code": "a = 1\nb = 2", "n": 1}) == ("code:\n  a = 1\n  b = 2\nn: 1", False)
    assert pretty('{"a": 1}') == ('{\n  "a": 1\n}', True)


def test_no_span_is_too_large_for_a_page():
    """A budget over all texts of a view; the rest is said."""
    budget = Budget(chars=30)
    first, second = code("A", "x" * 25, budget), code("B", "y" * 25, budget)
    assert (len(first["text"]), len(second["text"])) == (25, 5)
    assert second["more"] == "20 more characters are in the download."
