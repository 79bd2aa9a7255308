"""What the insert makes of a span: columns, layers, tokens, odd values."""

from __future__ import annotations

import json

import pytest

from otlp import Trace, span_id
from tachograph_collector.canonical import canonical
from tachograph_schemas import names


def test_a_span_arrives_whole(load, ask):
    trace = Trace(7, service="shop", service__version="1.2")
    trace.request.resource_spans[0].scope_spans[0].scope.version = "9"
    trace.span(
        2,
        "pay",
        1,
        at_ms=5,
        ms=3,
        error="no money",
        events=[("exception", {"exception.type": "ValueError", "exception.message": "no money"})],
        text="x",
        number_of=3,
        ratio=0.5,
        yes=True,
        tags=["a", 1, True],
        user__id="u1",
        session__id="s1",
        tacho__customer="acme",
    )
    span = trace.request.resource_spans[0].scope_spans[0].spans[0]
    span.links.add(trace_id=b"t" * 16, span_id=b"s" * 8)
    load(trace.body())
    (row,) = ask(
        "SELECT trace_id, span_id, parent_span_id, name, duration_ns, service, service_version, scope, scope_version,"
        " toString(status), status_message, error_type, user_id, session_id, customer, run_id, attributes, resource,"
        " events.name, events.attributes, links.trace_id, layer FROM spans"
    )
    assert row[:9] == (
        trace.id,
        span_id(2),
        span_id(1),
        "pay",
        3_000_000,
        "shop",
        "1.2",
        "test",
        "9",
    )
    assert row[9:16] == ("error", "no money", "ValueError", "u1", "s1", "acme", trace.id)
    assert row[16] == {
        "text": "x",
        "number_of": "3",
        "ratio": "0.5",
        "yes": "true",
        "tags": '["a",1,true]',
        "user.id": "u1",
        "session.id": "s1",
        "tacho.customer": "acme",
    }
    assert row[17]["service.name"] == "shop"
    assert row[18] == ["exception"]
    assert row[19] == [{"exception.type": "ValueError", "exception.message": "no money"}]
    assert row[20] == [(b"t" * 16).hex()]
    assert row[21] == "other"


def test_our_layers_are_taken_as_they_are(load, ask):
    """Model calls have an insert of their own (``shapes.py``), so the other layers come before them."""
    others = [layer for layer in names.LAYERS if layer != "model"]
    for layers in (others, [*others, "model"]):
        load(
            *(
                Trace(at).span(1, layer, tacho__layer=layer).body()
                for at, layer in enumerate(layers, 1)
            )
        )
        assert sorted(ask("SELECT name, layer FROM spans")) == sorted(
            zip(layers, layers, strict=True)
        )


@pytest.mark.parametrize(
    ("attributes", "layer"),
    [
        ({"tacho.layer": "nonsense"}, "other"),
        ({"gen_ai.operation.name": "chat"}, "model"),
        ({"gen_ai.operation.name": "execute_tool"}, "tool"),
        ({"gen_ai.operation.name": "invoke_agent"}, "agent"),
        ({"gen_ai.operation.name": "search_memory"}, "memory"),
        ({"openinference.span.kind": "LLM"}, "model"),
        ({"openinference.span.kind": "RETRIEVER"}, "retrieval"),
        ({"langfuse.observation.type": "generation"}, "model"),
        ({"langfuse.observation.type": "span", "gen_ai.operation.name": "chat"}, "model"),
        ({"mlflow.spanType": '"TOOL"'}, "tool"),
        ({"traceloop.span.kind": "workflow"}, "agent"),
        ({"ai.operationId": "ai.generateText.doGenerate"}, "model"),
        ({"mcp.method.name": "tools/call", "gen_ai.operation.name": "execute_tool"}, "tool"),
        ({"mcp.method.name": "tools/list"}, "other"),
        ({"http.request.method": "GET"}, "other"),
        ({}, "other"),
    ],
)
def test_other_conventions_get_a_layer(load, ask, attributes, layer):
    load(
        Trace()
        .span(1, **{key.replace(".", "__"): value for key, value in attributes.items()})
        .body()
    )
    assert ask("SELECT layer FROM spans") == [(layer,)]


def test_a_retrieval_by_the_convention_is_read(load, ask):
    documents = '[{"id":"doc-1","score":0.9}]'
    query = {"gen_ai.retrieval.query.text": "returns", "gen_ai.retrieval.documents": documents}
    load(Trace().span(1, **{"gen_ai.operation.name": "retrieval"} | query).body())
    assert ask("SELECT layer, input, output FROM spans") == [("retrieval", "returns", documents)]


def usage(**tokens):
    return {
        "gen_ai__operation__name": "chat",
        **{f"gen_ai__usage__{k}": v for k, v in tokens.items()},
    }


@pytest.mark.parametrize(
    ("given", "fresh", "read", "write", "output"),
    [
        (usage(input_tokens=100, output_tokens=20), 100, None, None, 20),
        (usage(input_tokens=100, cache_read__input_tokens=60, output_tokens=20), 40, 60, None, 20),
        (
            usage(input_tokens=100, cache_read__input_tokens=60, cache_creation__input_tokens=30),
            10,
            60,
            30,
            None,
        ),
        # A cache larger than the input: this client counts the input without it.
        (usage(input_tokens=10, cache_read__input_tokens=60, output_tokens=1), 10, 60, None, 1),
        (usage(output_tokens=5), None, None, None, 5),
        (usage(), None, None, None, None),
        (usage(input_tokens="12"), 12, None, None, None),
        (usage(input_tokens="many"), None, None, None, None),
        (usage(input_tokens=-5), None, None, None, None),
    ],
)
def test_token_classes_are_disjoint_and_unknown_is_null(
    load, ask, given, fresh, read, write, output
):
    load(Trace().span(1, **given).body())
    assert ask(
        "SELECT input_tokens, cache_read_tokens, cache_write_tokens, output_tokens FROM spans"
    ) == [(fresh, read, write, output)]


def test_cache_writes_are_split_by_lifetime(load, ask):
    given = usage(input_tokens=100, cache_write__input_tokens=50, output_tokens=1)
    load(
        Trace()
        .span(1, anthropic__usage__cache_creation__ephemeral_1h_input_tokens=20, **given)
        .body()
    )
    assert ask(
        "SELECT cache_write_tokens, cache_write_5m_tokens, cache_write_1h_tokens FROM spans"
    ) == [(50, 30, 20)]


def test_totals_on_agent_spans_are_no_tokens_of_theirs(load, ask):
    load(
        Trace()
        .span(1, gen_ai__operation__name="invoke_agent", gen_ai__usage__input_tokens=100)
        .span(2, "chat", 1, **usage(input_tokens=100, output_tokens=5))
        .body()
    )
    assert ask("SELECT sum(input_tokens) FROM spans") == [(100,)]


def test_long_context_is_priced_by_its_tier(load, ask):
    def call(number, tokens):
        return Trace(number).span(
            1,
            gen_ai__provider__name="anthropic",
            gen_ai__response__model="claude-sonnet-4-5",
            **usage(input_tokens=tokens, output_tokens=0),
        )

    load(call(1, 100_000).body(), call(2, 300_000).body())
    rows = ask("SELECT input_tokens, cost_usd FROM spans ORDER BY input_tokens")
    short, long = (cost / tokens * 1e6 for tokens, cost in rows)
    assert short == pytest.approx(3.0)
    assert long == pytest.approx(6.0)


def test_values_outside_every_range_do_not_fail_the_batch(load, ask):
    trace = Trace().span(1, "good").span(2, "odd")
    odd = trace.request.resource_spans[0].scope_spans[0].spans[1]
    odd.kind, odd.status.code = 99, 77
    odd.start_time_unix_nano, odd.end_time_unix_nano = 2**64 - 1, 5
    load(trace.body())
    rows = dict(ask("SELECT name, duration_ns FROM spans"))
    assert rows == {"good": 10_000_000, "odd": 0}


def test_nested_values_arrive_as_json(load, ask):
    body = Trace().span(1, "x", tree={"a": [1, {"b": None}]}, raw=b"\x01").body()
    load(canonical(body).data)
    ((attributes,),) = ask("SELECT attributes FROM spans")
    assert json.loads(attributes["tree"]) == {"a": [1, {"b": None}]}
    assert json.loads(attributes["raw"]) == "AQ=="


def test_strange_text_survives(load, ask):
    text = "quotes ' \" \\ newline \n tab \t nul \x00 emoji 🤔 rtl \u202e end"
    load(Trace().span(1, text, input__value=text).body())
    assert ask("SELECT name, input FROM spans") == [(text, text)]


def test_an_open_span_has_no_end(load, ask):
    load(Trace().span(1, ms=None, tacho__layer="run", tacho__open=True).body())
    assert ask("SELECT end_time, duration_ns FROM spans") == [(None, 0)]
