"""Three weeks of made-up runs of three agents, so that the page of drift has something to show at once.

Nothing here ran: the agents are called ``demo-...``, their service ``tachograph-demo-history``, and every run is tagged
``made up``. ``demo-healthy`` behaves as before, with a new version too; ``demo-drifting`` begins to search more and costs more
from one day on; ``demo-deployed`` gets a version that writes longer answers. They are sent as any client would send them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Status

from tachograph_schemas import names

SERVICE = "tachograph-demo-history"
TAG = "made up"
DAYS = 21
_RUNS_A_WEEKDAY, _RUNS_A_WEEKEND_DAY = 50, 20
_DAY_S, _S_NS = 86_400, 10**9
_RUNS_A_BODY = 400
_LAST_S = 900  # nothing is newer than a quarter of an hour: what really runs stands above it
_MODEL = "claude-haiku-4-5"
_HOURS = (1, 1, 1, 1, 1, 1, 2, 4, 8, 10, 10, 9, 7, 9, 10, 9, 8, 6, 4, 3, 3, 2, 1, 1)
_TASKS = {
    "Where is order {}?": -0.35,
    "Order {} arrived broken, please refund it.": 0.3,
    "Change the address of order {}.": -0.1,
    "A complaint about order {}.": 0.4,
}
_TOOLS = ("orders.get", "customers.get", "search", "notes.add")
Value = str | int | list[str]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How an agent behaves for a while."""

    version: str
    searches: float = 0.15
    """Share of its tool calls that search."""
    input_factor: float = 1.0
    output_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Story:
    """One agent: how it was, and how it is since so many days before now."""

    agent: str
    before: Behaviour
    after: Behaviour
    changed_days_ago: float


STORIES = (
    Story("demo-healthy", Behaviour("3.1.0"), Behaviour("3.2.0"), 9),
    Story(
        "demo-drifting", Behaviour("2.7.2"), Behaviour("2.7.2", searches=0.4, input_factor=1.9), 6
    ),
    Story("demo-deployed", Behaviour("1.4.0"), Behaviour("1.5.0", output_factor=2.2), 4),
)


def bodies(now_ns: int) -> Iterator[bytes]:
    """OTLP requests with all runs until ``now_ns``, oldest first within each agent."""
    for story in STORIES:
        chance = random.Random(story.agent)  # noqa: S311 - made up, and the same every time
        times_s = _times_s(chance, now_ns // _S_NS)
        for first in range(0, len(times_s), _RUNS_A_BODY):
            request = ExportTraceServiceRequest()
            scopes: dict[str, ScopeSpans] = {}
            for number, at_s in enumerate(times_s[first : first + _RUNS_A_BODY], first):
                age_days = (now_ns / _S_NS - at_s) / _DAY_S
                now = story.after if age_days < story.changed_days_ago else story.before
                if now.version not in scopes:
                    scopes[now.version] = _scope(request, now.version)
                _run(_Spans(scopes[now.version], story.agent, number, at_s), chance, now)
            yield request.SerializeToString()


def _times_s(chance: random.Random, now_s: int) -> list[float]:
    """When runs began: by day, few at night and at weekends."""
    found = []
    today = now_s // _DAY_S
    for day in range(today - DAYS, today + 1):
        is_weekend = (day + 3) % 7 >= 5  # 1970 began with a Thursday
        for _ in range(_RUNS_A_WEEKEND_DAY if is_weekend else _RUNS_A_WEEKDAY):
            hour = chance.choices(range(24), _HOURS)[0]
            found.append(day * _DAY_S + (hour + chance.random()) * 3_600)
    return sorted(at_s for at_s in found if at_s < now_s - _LAST_S)


def _scope(request: ExportTraceServiceRequest, version: str) -> ScopeSpans:
    resource_spans = request.resource_spans.add()
    about = {names.SERVICE_NAME: SERVICE, names.SERVICE_VERSION: version}
    resource_spans.resource.attributes.extend(_attributes(about))
    scope: ScopeSpans = resource_spans.scope_spans.add()
    scope.scope.name = SERVICE
    return scope


class _Spans:
    """The spans of one run; times are seconds from its beginning."""

    def __init__(self, scope: ScopeSpans, agent: str, number: int, at_s: float) -> None:
        self.agent = agent
        self.number = number
        self._scope = scope
        # The same run has the same id whenever the demo is started: it is stored once.
        self._trace_id = blake2b(f"{agent} {number}".encode(), digest_size=16).digest()
        self._start_ns = int(at_s * _S_NS)
        self._made = 0

    def add(
        self, name: str, layer: names.Layer, at_s: float, took_s: float, **values: Value
    ) -> None:
        """The first one added is the run; the others are its children. ``error`` is its message."""
        self._made += 1
        start_ns = self._start_ns + int(at_s * _S_NS)
        error = values.pop("error", "")
        span = self._scope.spans.add(
            trace_id=self._trace_id,
            span_id=self._made.to_bytes(8, "big"),
            parent_span_id=b"" if self._made == 1 else (1).to_bytes(8, "big"),
            name=name,
            kind=1,
            start_time_unix_nano=start_ns,
            end_time_unix_nano=start_ns + int(took_s * _S_NS),
        )
        named = {names.LAYER: layer, **{_NAMES[key]: value for key, value in values.items()}}
        span.attributes.extend(_attributes(named))
        if error:
            span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=str(error)))


_NAMES = {
    "agent": names.GEN_AI_AGENT_NAME,
    "goal": names.RUN_GOAL,
    "entrypoint": names.RUN_ENTRYPOINT,
    "outcome": names.RUN_OUTCOME,
    "tags": names.RUN_TAGS,
    "output": names.OUTPUT,
    "operation": names.GEN_AI_OPERATION_NAME,
    "provider": names.GEN_AI_PROVIDER_NAME,
    "asked": names.GEN_AI_REQUEST_MODEL,
    "answered": names.GEN_AI_RESPONSE_MODEL,
    "input_tokens": names.GEN_AI_USAGE_INPUT_TOKENS,
    "output_tokens": names.GEN_AI_USAGE_OUTPUT_TOKENS,
    "tool": names.GEN_AI_TOOL_NAME,
    "risk": names.TOOL_RISK,
    "effect": names.TOOL_EFFECT,
    "check": names.VALIDATION_CHECK,
    "verdict": names.VALIDATION_VERDICT,
}


def _run(spans: _Spans, chance: random.Random, now: Behaviour) -> None:
    goal, hard = chance.choice(list(_TASKS.items()))
    hard += chance.gauss(0, 0.35)
    tools = [_tool(chance, now) for _ in range(max(1, round(3 * math.exp(0.5 * hard))))]
    failed = chance.random() < 0.05
    seconds = 4 * math.exp(0.5 * hard + chance.gauss(0, 0.3))
    sentences = round(20 * now.output_factor * math.exp(chance.gauss(0, 0.4)))
    step_s = seconds / (len(tools) + 2)
    spans.add(
        "handle",
        "run",
        0,
        seconds,
        agent=spans.agent,
        goal=goal.format(f"O-{50_000 + spans.number}"),
        entrypoint="made_up:handle",
        outcome="failure" if failed else "success",
        tags=[TAG],
        output="null" if failed else '"' + "Done. " * sentences + '"',
        error="the order could not be found" if failed else "",
    )
    spans.add(
        "chat",
        "model",
        0,
        step_s,
        operation="chat",
        provider="anthropic",
        asked=_MODEL,
        answered=_MODEL,
        input_tokens=round(2_000 * now.input_factor * math.exp(hard + chance.gauss(0, 0.3))),
        output_tokens=round(250 * now.output_factor * math.exp(hard + chance.gauss(0, 0.4))),
    )
    for number, tool in enumerate(tools, 1):
        at_s = number * step_s
        changes = {"effect": "write", "risk": "low"} if tool == "notes.add" else {"effect": "read"}
        spans.add(f"execute_tool {tool}", "tool", at_s, step_s, tool=tool, **changes)
    verdict = "fail" if chance.random() < 0.06 else "pass"
    spans.add("check", "validation", seconds - step_s, 0.001, check="has order", verdict=verdict)


def _tool(chance: random.Random, now: Behaviour) -> str:
    if chance.random() < now.searches:
        return "search"
    return chance.choice([tool for tool in _TOOLS if tool != "search"])


def _attributes(values: Mapping[str, Value]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any(value)) for key, value in values.items()]


def _any(value: Value) -> AnyValue:
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[_any(each) for each in value]))
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
