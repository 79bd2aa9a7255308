"""OTLP requests of 200 spans, ten traces of twenty, about 1.1 KB a span.

A template is serialised once and cut where ids and times stand; a request is the pieces joined with new ones, so that
making it costs the sender's process next to nothing beside sending it.
"""

from __future__ import annotations

import json
import random
import re
import struct
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from .words import text

SPANS, TRACES = 200, 10
TEMPLATES = 48
"""Different requests of one client before their texts come again, 10 MB apart: no codec looks back that far."""
MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "o3-mini")

# What stands in a template for the half of a trace id, the half of a span id, and the upper half of a time.
_TRACE, _SPAN, _TIME = b"\xf1\xc7\x9e<trc>", b"\xf2\xc9\x9d\xee", 0x5AF3_C4B2
_MARK = re.compile(b"(%b|%b|%b)" % tuple(map(re.escape, (_TRACE, _SPAN, struct.pack("<I", _TIME)))))


def _attribute(key: str, value: Any) -> KeyValue:
    if isinstance(value, bool):
        return KeyValue(key=key, value=AnyValue(bool_value=value))
    if isinstance(value, int):
        return KeyValue(key=key, value=AnyValue(int_value=value))
    return KeyValue(key=key, value=AnyValue(string_value=value))


def _model_call(dice: random.Random) -> dict[str, Any]:
    """Under both conventions in use, so that each server finds its own."""
    model, fresh, made = dice.choice(MODELS), dice.randrange(100, 5000), dice.randrange(10, 900)
    return {
        "openinference.span.kind": "LLM",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": fresh,
        "gen_ai.usage.output_tokens": made,
        "llm.model_name": model,
        "llm.provider": "openai",
        "llm.token_count.prompt": fresh,
        "llm.token_count.completion": made,
        "llm.token_count.total": fresh + made,
    }


def _tool_call(dice: random.Random) -> dict[str, Any]:
    return {
        "openinference.span.kind": "TOOL",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.call.id": f"call_{dice.randrange(1 << 48):012x}",
        "tool.name": "search",
        "tool.parameters": json.dumps({"query": text(dice, 80), "top_k": 5}),
        "retry": False,
    }


def _fill(span: Span, dice: random.Random, trace: int, number: int) -> None:
    """The ``number``-th span of the ``trace``-th trace: a root, then model and tool calls in turn."""
    span.trace_id = _TRACE + struct.pack(">Q", trace + 1)
    span.span_id = _SPAN + struct.pack(">I", trace * SPANS + number + 1)
    if number:
        span.parent_span_id = _SPAN + struct.pack(">I", trace * SPANS + 1)
    started = number * 100_000_000 + dice.randrange(50_000_000)
    span.kind = Span.SPAN_KIND_INTERNAL
    span.start_time_unix_nano = _TIME << 32 | started
    span.end_time_unix_nano = _TIME << 32 | started + dice.randrange(1_000_000, 900_000_000)
    span.status.code = Status.STATUS_CODE_OK
    if number == 0:
        span.name = "invoke_agent support"
        own = {"openinference.span.kind": "AGENT", "gen_ai.operation.name": "invoke_agent"}
    elif number % 2:
        span.name, own = "chat", _model_call(dice)
    else:
        span.name, own = "execute_tool search", _tool_call(dice)
    own |= {
        "session.id": f"session-{dice.randrange(500)}",
        "input.value": text(dice, 330),
        "output.value": text(dice, 330),
    }
    span.attributes.extend(_attribute(key, value) for key, value in own.items())


class Template:
    """One request to be sent again and again under new ids and times."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(seed)
        request = ExportTraceServiceRequest()
        resource_spans = request.resource_spans.add()
        resource = {"service.name": "support", "service.version": "1.2.0", "host.name": "bench"}
        resource_spans.resource.attributes.extend(_attribute(*item) for item in resource.items())
        scope_spans = resource_spans.scope_spans.add()
        scope_spans.scope.name = "bench"
        for trace in range(TRACES):
            for number in range(SPANS // TRACES):
                _fill(scope_spans.spans.add(), dice, trace, number)
        pieces = _MARK.split(request.SerializeToString())
        self._pieces, self._marks = pieces, pieces[1::2]
        # two times and a trace id a span; a span id and, under the roots, a parent's
        assert len(self._marks) == SPANS * 5 - TRACES, "a mark stands in the text by chance"

    def body(self, client: int, sequence: int, time_ns: int) -> bytes:
        """The request under ids that only this client and sequence number (under 2**24) give."""
        stands_for = {
            _TRACE: struct.pack(">II", client + 1, sequence),
            _SPAN: struct.pack(">I", client + 1 << 24 | sequence),
            struct.pack("<I", _TIME): struct.pack("<I", time_ns >> 32),
        }
        pieces = self._pieces.copy()
        pieces[1::2] = [stands_for[mark] for mark in self._marks]
        return b"".join(pieces)


def templates(client: int) -> list[Template]:
    """The requests of one client; takes about a second."""
    return [Template(client * TEMPLATES + number) for number in range(TEMPLATES)]


def trace_ids(client: int, sequence: int) -> list[str]:
    """The ids of the traces in one request, as hexadecimal text."""
    first = struct.pack(">II", client + 1, sequence)
    return [(first + struct.pack(">Q", trace + 1)).hex() for trace in range(TRACES)]
