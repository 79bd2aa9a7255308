"""What real clients sent, as it came over the wire: stored, and the runs say what really happened.

The captures lie beside the checkout. Each says in ``expected_from_capture`` what a correct collector gets out of
its bytes; what cannot be met from spans alone is listed in :data:`BEYOND_SPANS`, with the reason.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tachograph_collector.canonical import canonical
from tachograph_collector.otlp_json import canonical_json

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"
CAPTURES = sorted(path.parent.name for path in SHARED_DATA.glob("captures/*/meta.json"))
SETS = sorted(path.name for path in SHARED_DATA.glob("runs/*") if path.is_dir())
ABSENT = "recordings-beside-the-checkout"

LAYERS = {
    "llm": "model",
    "embedding": "model",
    "tool": "tool",
    "mcp_tool": "tool",
    "tool_step": "tool",
    "agent": "agent",
    "workflow": "agent",
    "chain": "step",
    "prompt": "step",
    "retriever": "retrieval",
    "reranker": "retrieval",
    "evaluator": "eval",
    "guardrail": "gate",
    "handoff": "handoff",
    "memory": "memory",
    # Decided by the client's configuration in these captures: nobody was asked.
    "approval_wait": "gate",
}
"""Our layer for what the captures call a kind of span; the rest is ``other``."""

FINISH_REASONS = {
    "end_turn": "stop",
    "completed": "stop",
    "tool_use": "tool_call",
    "tool_calls": "tool_call",
    "tool-calls": "tool_call",
}

_STREAM_LOGS = {
    "layers": "the log that holds a stream's usage is a model span here, a second view of its request"
}
BEYOND_SPANS: dict[str, dict[str, str]] = {
    "edge_values_python": dict.fromkeys(
        ("calls", "layers", "calls_with_input_messages", "calls_with_output_messages"),
        "a span that lost its oldest 172 attributes is taken for the model call that it is",
    ),
    "langfuse": {
        "calls_with_output_tokens": "an embedding that says {'input': 23}: its output is unknown here, 0 there"
    },
    "langsmith_otel": {
        "finish_reasons": "the provider's own client says them; there only LangSmith's span was asked"
    },
    "logfire_native": _STREAM_LOGS,
    "logfire_otlp": _STREAM_LOGS,
    "pydantic_ai": {"tools_with_result": "a tool that returned 0 has a result"},
}
"""By capture: what is not compared, and why. No expectation rests on logs or metrics, which are not stored yet."""

# A call or an execution with all spans that show it.
_SHOWN = """
    SELECT if(v.of = '', s.span_id, v.of) AS call, any(layer) AS what, max(status = 'error') AS failed,
        max(tool_call_id) AS call_id, max(input) AS taken, max(output) AS given
    FROM spans AS s
    LEFT JOIN (
        SELECT second_views.span_id AS span_id, second_views.of_span_id AS of
        FROM run_rows FINAL ARRAY JOIN second_views
    ) AS v USING (span_id)
    WHERE layer IN ('model', 'tool')
    GROUP BY call
"""


def bodies_of(capture: Path) -> list[bytes]:
    """The trace requests of a capture in the order they arrived, in canonical form."""
    requests = [path for path in capture.iterdir() if path.stem.isdigit()]
    return [
        (canonical if path.suffix == ".pb" else canonical_json)(path.read_bytes()).data
        for path in sorted(requests, key=lambda path: int(path.stem))
    ]


def said(values: list[str]) -> list[str]:
    return sorted(value for value in values if value)


def counted(ask) -> dict[str, Any]:
    """Counts and tokens as stored, in the words of the captures."""
    runs = ask(
        "SELECT sum(model_calls), sum(tool_calls), sum(tool_errors), sum(client_cost_usd),"
        " sum(ifNull(input_tokens, 0) + ifNull(cache_read_tokens, 0) + ifNull(cache_write_tokens, 0)),"
        " sum(ifNull(output_tokens, 0)), sum(ifNull(cache_read_tokens, 0)),"
        " sum(ifNull(cache_write_tokens, 0)), sum(ifNull(reasoning_tokens, 0)) FROM runs"
    )[0]
    known = ask("SELECT count(input_tokens), count(output_tokens) FROM model_calls")[0]
    calls = ask(f"SELECT countIf(failed) FROM ({_SHOWN}) WHERE what = 'model'")[0]
    tools = ask(
        "SELECT countIf(call_id != ''), countIf(taken != ''), countIf(given != '')"
        f" FROM ({_SHOWN}) WHERE what = 'tool'"
    )[0]
    classes = ("input", "output", "cache_read", "cache_write", "reasoning")
    return {
        "calls": runs[0],
        "tokens": dict(zip(classes, runs[4:], strict=True)),
        "calls_with_input_tokens": known[0],
        "calls_with_output_tokens": known[1],
        "call_errors": calls[0],
        "cost_usd": runs[3],
        "tool_calls": runs[1],
        "tool_errors": runs[2],
        "tools_with_call_id": tools[0],
        "tools_with_arguments": tools[1],
        "tools_with_result": tools[2],
        "layers": dict(ask("SELECT layer, count() FROM spans GROUP BY layer")),
    }


def named(ask) -> dict[str, Any]:
    """Names as stored, in the words of the captures."""
    sets = ask(
        "SELECT groupUniqArray(session_id), groupUniqArray(user_id), groupUniqArrayArray(tags),"
        " groupUniqArrayIf(agent, layer = 'agent'), groupUniqArray(finish_reason),"
        " groupUniqArray(request_model), uniqExactIf(response_id, response_id != '') FROM spans"
    )[0]
    return {
        "session_ids": said(sets[0]),
        "user_ids": said(sets[1]),
        "tags": said(sets[2]),
        "agents": said(sets[3]),
        "finish_reasons": said(sets[4]),
        "models_requested": said(sets[5]),
        "response_ids": sets[6],
        "tool_names": said(ask("SELECT groupUniqArrayArray(tools) FROM runs")[0][0]),
    }


def expectations(meta: dict[str, Any]) -> dict[str, Any]:
    """What the capture expects, under the names of :func:`counted` and :func:`named`."""
    given = meta["expected_from_capture"]
    tools = given["tools"]
    layers: Counter[str] = Counter()
    for kind, count in given["kinds"].items():
        # An announcement of an open span is that span.
        if kind != "provisional":
            layers[LAYERS.get(kind, "other")] += count
    same = ("tokens", "calls_with_input_tokens", "calls_with_output_tokens", "response_ids")
    lists = ("session_ids", "user_ids", "tags", "agents", "models_requested")
    return {
        **{name: given[name] for name in same},
        **{name: sorted(given[name]) for name in lists},
        "calls": given["llm_calls"] + given["embedding_calls"],
        "call_errors": given["llm_errors"],
        "cost_usd": pytest.approx(given["cost_usd"], rel=1e-5) if given["cost_usd"] else None,
        "tool_calls": tools["calls"],
        "tool_errors": tools["errors"],
        "tools_with_call_id": tools["with_call_id"],
        "tools_with_arguments": tools["with_arguments"],
        "tools_with_result": tools["with_result"],
        "tool_names": sorted(tools["names"]),
        "finish_reasons": sorted(
            {FINISH_REASONS.get(word, word) for word in given["finish_reasons"]}
        ),
        "layers": dict(layers),
    }


def loosely_wrong(ask, meta: dict[str, Any]) -> dict[str, Any]:
    """What is neither as the capture expects nor explained by what the columns mean.

    ``model`` is what was asked for where no answer names one, and the input and output of an embedding are
    stored although they are no messages.
    """
    given = meta["expected_from_capture"]
    wrong: dict[str, Any] = {}
    models = set(said(ask("SELECT groupUniqArray(model) FROM model_calls")[0][0]))
    answered = set(given["models_response"])
    if not answered <= models <= answered | set(given["models_requested"]):
        wrong["models"] = models
    shown = ask(
        f"SELECT countIf(taken != ''), countIf(given != '') FROM ({_SHOWN}) WHERE what = 'model'"
    )[0]
    for name, count in zip(("input", "output"), shown, strict=True):
        field = f"calls_with_{name}_messages"
        if not given[field] <= count <= given[field] + given["embedding_calls"]:
            wrong[field] = (count, given[field])
    return wrong


@pytest.mark.parametrize("name", CAPTURES or [ABSENT])
def test_a_capture_is_understood(shared_data, load, ask, name):
    """Each request is a batch of its own, as it arrived: children before parents, over batches."""
    capture = shared_data / "captures" / name
    meta = json.loads((capture / "meta.json").read_text(encoding="utf-8"))
    for body in bodies_of(capture):
        load(body)
    excused = BEYOND_SPANS.get(name, {})
    expected = {key: value for key, value in expectations(meta).items() if key not in excused}
    got = counted(ask) | named(ask)
    assert {key: got[key] for key in expected} == expected
    assert not set(loosely_wrong(ask, meta)) - set(excused)


@pytest.mark.parametrize("name", SETS or [ABSENT])
def test_published_runs_are_stored_whole(shared_data, load, ask, name):
    """Every span and trace of a set arrives, broken traces included, and what failed is seen to fail."""
    spans: set[tuple[bytes, bytes]] = set()
    failed: set[str] = set()
    for path in sorted((shared_data / "runs" / name).glob("*.pb.gz")):
        body = gzip.decompress(path.read_bytes())
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                spans.add((span.trace_id, span.span_id))
                if span.status.code == span.status.STATUS_CODE_ERROR:
                    failed.add(span.span_id.hex())
        load(canonical(body).data)
    assert ask("SELECT count(), uniqExact(trace_id) FROM spans") == [
        (len(spans), len({trace for trace, _ in spans}))
    ]
    assert ask("SELECT count(), sum(span_count) FROM runs") == [
        (len({trace for trace, _ in spans}), len(spans))
    ]
    assert failed <= {row[0] for row in ask("SELECT span_id FROM spans WHERE status = 'error'")}
    labels = json.loads((shared_data / "runs" / name / "labels.json").read_text(encoding="utf-8"))
    blamed = {
        failure["span_id"]
        for run in labels
        for failure in run.get("failures") or []
        if failure.get("span_id")
    }
    stored = {span.hex() for _, span in spans}
    assert {row[0] for row in ask("SELECT span_id FROM spans")} >= blamed & stored
