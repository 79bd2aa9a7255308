"""Payloads in every shape that clients write, cut anywhere."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tachograph_schemas.account import payload

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
CALL = '[{"role":"assistant","parts":[{"type":"tool_call","id":"c1","name":"pay","arguments":"{\\"usd\\": 4, \\"to\\": \\"Ann \\\\u00e9\\"}"}]}]'


@given(JSON, st.data())
def test_json_cut_anywhere_is_read_as_far_as_it_goes(value, data):
    text = json.dumps(value)
    cut = text[: data.draw(st.integers(0, len(text)))]
    for read in (payload.parse, payload.messages, payload.task, payload.answer, payload.arguments):
        read(cut)
    payload.call("tool", cut)


@given(st.lists(JSON, min_size=1) | st.dictionaries(st.text(), JSON, min_size=1))
def test_whole_json_is_read_as_it_is(value):
    assert payload.parse(json.dumps(value)) == value


@given(st.dictionaries(st.text(), JSON, min_size=1), st.data())
def test_a_cut_object_keeps_the_fields_before_the_cut(value, data):
    text = json.dumps(value)
    read = payload.parse(text[: data.draw(st.integers(1, len(text)))])
    assert isinstance(read, dict)
    whole = list(value)
    assert list(read) == whole[: len(read)]
    for key in list(read)[:-1]:
        assert read[key] == value[key]


@given(st.text())
@settings(max_examples=300)
def test_any_text_is_read_without_an_error(text):
    for prefix in ("", "[", "{", '"', '{"a":', '[{"role":"user","parts":['):
        payload.messages(prefix + text)
        payload.task(prefix + text)
        payload.arguments(prefix + text)


def test_every_cut_of_a_tool_call_names_the_tool_once_its_name_is_there():
    named = CALL.index('"pay"') + len('"pay"')
    for end in range(named, len(CALL) + 1):
        (message,) = payload.messages(CALL[:end])
        assert [request.name for request in message.requests] == ["pay"]


@pytest.mark.parametrize(
    ("text", "tool", "shown"),
    [
        (CALL, "pay", "usd=4, to='Ann é'"),
        ('{"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{"id":"x","function":{"name":"pay","arguments":"{\\"usd\\": 4}"}}]}}]}', "pay", "usd=4"),
        ('{"role":"assistant","content":[{"type":"text","text":"ok"},{"type":"tool_use","id":"x","name":"pay","input":{"usd":4}}]}', "pay", "usd=4"),
        ('{"output":[{"type":"function_call","name":"pay","arguments":"{\\"usd\\": 4}","call_id":"x"}]}', "pay", "usd=4"),
        ('{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"pay","args":{"usd":4}}}]}}]}', "pay", "usd=4"),
        ('{"generations":[[{"text":"","message":{"lc":1,"type":"constructor","kwargs":{"content":"","type":"ai","tool_calls":[{"name":"pay","args":{"usd":4},"id":"x"}]}}}]]}', "pay", "usd=4"),
    ],
    ids=["genai", "openai chat", "anthropic", "openai responses", "gemini", "langchain"],
)  # fmt: skip
def test_tool_calls_are_found_in_the_shape_of_every_client(text, tool, shown):
    requests = [request for message in payload.messages(text) for request in message.requests]
    assert [request.name for request in requests] == [tool]
    assert payload.arguments(requests[0].arguments) == shown


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("What now?", "What now?"),
        ('{"q": "What now?"}', "What now?"),
        ('{"ticket": {"id": 1, "task": "What now?"}}', "What now?"),
        ('{"messages": [["user", "What now?"]]}', "What now?"),
        ('{"messages": [{"content": "What now?", "type": "human"}]}', "What now?"),
        ('{"model":"m","messages":[{"role":"system","content":"Be kind"},{"role":"user","content":[{"type":"text","text":"What now?"}]}]}', "What now?"),
        ('{"args": ["What now?"], "kwargs": {}}', "What now?"),
        ('{"args": [4], "kwargs": {}}', ""),
        ('{"limit": 4}', ""),
        ("null", "null"),
        ("[]", ""),
    ],
)  # fmt: skip
def test_the_task_is_found_where_clients_put_it(text, task):
    assert payload.task(text) == task


def test_the_answer_is_the_last_message_with_text():
    text = '[{"role":"assistant","parts":[{"type":"reasoning","content":"hm"},{"type":"text","content":"Done."}]}]'
    assert payload.answer(text) == "Done."
    assert payload.answer("null") == ""


def test_arguments_are_short_and_say_that_they_were_cut():
    given_ = {"text": "x" * 500, "list": list(range(100)), "call_id": "toolu_1", "n": 1}
    shown = payload.arguments(json.dumps(given_))
    assert len(shown) < 200
    assert "…" in shown
    assert "call_id" not in shown
    assert payload.arguments('{"args": [1], "kwargs": {"a": true}}') == "#1=1, a=true"


def test_reading_takes_a_bounded_look_at_hostile_payloads():
    started = time.process_time()
    for text in (
        "[" * 100_000,
        '{"a":' * 100_000,
        '"' + '\\"' * 100_000,
        '[{"role":"user","parts":[' + '{"type":"text"},' * 50_000,
        "[1," * 50_000,
    ):
        payload.messages(text)
        payload.task(text)
        payload.arguments(text)
    assert time.process_time() - started < 5
