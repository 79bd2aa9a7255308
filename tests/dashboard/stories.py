"""Runs for the dashboard's tests, as OTLP bodies: every layer, hostile text, a live one, a large one."""

import json

from otlp import Trace
from tachograph_schemas.names import LAYERS

MODEL = {"gen_ai__operation__name": "chat", "gen_ai__provider__name": "openai"}


def tool(made, number, parent, name, at_ms, ms=300, arguments=None, result=None, **more):
    values = {
        "tacho__layer": "tool",
        "gen_ai__operation__name": "execute_tool",
        "gen_ai__tool__name": name,
        "gen_ai__tool__call__arguments": json.dumps(arguments or {}),
    }
    if result is not None:
        values["gen_ai__tool__call__result"] = json.dumps(result)
    return made.span(number, f"execute_tool {name}", parent, at_ms=at_ms, ms=ms, **values, **more)


def messages(*turns):
    return json.dumps(
        [{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in turns]
    )


def refund(trace=1, *, outcome="success", spans_made=None):
    """A refund: looked up, denied, repaired, approved, paid once."""
    made = Trace(trace, service="shop", service__version="1.4.0")
    run = {
        "tacho__layer": "run",
        "tacho__run__goal": "Refund order 58213",
        "tacho__run__outcome": outcome,
        "gen_ai__agent__name": "refund-agent",
        "tacho__customer": "Northwind",
        "session__id": "s-17",
        "user__id": "priya",
        "tacho__run__trigger": "ticket 4711",
        "tacho__run__spans_made": spans_made or 13,
    }
    if outcome == "stopped":
        run["tacho__run__stop_reason"] = "Budget of $0.50 used up"
    failed = {"error": "gave up"} if outcome == "failure" else {}
    made.span(1, "run refund", ms=40_000, **run, **failed)
    made.span(
        2, "chat gpt-4o", 1, at_ms=100, ms=2_000, tacho__layer="model", **MODEL,
        gen_ai__response__model="gpt-4o",
        gen_ai__input__messages=messages(("system", "You refund."), ("user", "Two chairs broke.")),
        gen_ai__output__messages=json.dumps([{"role": "assistant", "finish_reason": "tool_call", "parts": [
            {"type": "text", "content": "I look up the order first."},
            {"type": "tool_call", "id": "c1", "name": "get_order", "arguments": '{"order_id": 58213}'},
        ]}]),
        gen_ai__usage__input_tokens=1200, gen_ai__usage__output_tokens=80,
        gen_ai__usage__cache_read__input_tokens=1000,
    )  # fmt: skip
    tool(
        made, 3, 1, "get_order", 2_200, 1_900, {"order_id": 58213}, tacho__tool__effect="read",
        error="504 from the order service",
        events=[("exception", {"exception.type": "TimeoutError", "exception.message": "504 from the order service",
                               "exception.stacktrace": "Traceback\n  line 1\nTimeoutError: 504"})],
    )  # fmt: skip
    tool(made, 4, 1, "get_order", 4_300, 900, {"order_id": 58213}, {"total_usd": 480})
    made.span(
        5, "gate refund.limit", 1, at_ms=5_400, ms=12, tacho__layer="gate", tacho__gate__rule="refund.limit",
        tacho__gate__verdict="deny", tacho__gate__action="blocked", tacho__reason="Over $200 needs a person",
        tacho__input='{"amount_usd": 480}',
    )  # fmt: skip
    made.span(
        6, "repair plan", 1, at_ms=5_500, ms=4_000, tacho__layer="repair", tacho__repair__attempt=1,
        tacho__repair__max_attempts=3, tacho__repair__outcome="repaired",
        tacho__input='{"amount_usd": 480}', tacho__output='{"amount_usd": 240}',
    )  # fmt: skip
    made.span(
        7, "chat gpt-4o", 6, at_ms=5_600, ms=3_800, tacho__layer="model", **MODEL,
        gen_ai__response__model="gpt-4o-of-tomorrow", gen_ai__usage__input_tokens=900,
        gen_ai__usage__output_tokens=60,
    )  # fmt: skip
    made.span(
        8, "approve refund", 1, at_ms=9_600, ms=20_000, tacho__layer="approval",
        tacho__approval__request="Refund $240", tacho__approval__decision="approved",
        tacho__approval__approver="Dana", tacho__reason="Photos look genuine",
        tacho__waiting_ns=20_000_000_000,
    )  # fmt: skip
    tool(
        made, 9, 1, "pay_refund", 30_000, 1_200, {"amount_usd": 240}, {"id": "rf_1"},
        tacho__tool__effect="write", tacho__tool__risk="high",
    )  # fmt: skip
    for number in range(10, 14):
        tool(made, number, 1, "notify", 31_000 + number * 100, 40, {"part": number}, {"sent": True})
    return made


def every_layer(trace=2):
    """One span of each layer, so that every shape and every word is drawn."""
    made = Trace(trace)
    made.span(
        1,
        "run all",
        ms=23_000,
        tacho__layer="run",
        tacho__run__goal="One of each layer",
        tacho__run__outcome="success",
    )
    for index, layer in enumerate(LAYERS[1:]):
        made.span(2 + index, f"{layer} one", 1, at_ms=1_000 * index, ms=900, tacho__layer=layer)
    return made


EVIL = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>'
EVIL_MARKDOWN = "![pixel](https://evil.example/p.png) [link](javascript:alert(1)) :red[**x**] $x$"


def hostile(trace=3):
    """Markup, Markdown and control characters in every place that a page shows."""
    evil = f"{EVIL} {EVIL_MARKDOWN} \u202e\x1b[2J"
    made = Trace(trace, service=EVIL)
    made.span(
        1, evil, ms=900, tacho__layer="run", tacho__run__goal=evil, gen_ai__agent__name=EVIL_MARKDOWN,
        tacho__customer=EVIL_MARKDOWN, session__id=evil, user__id=evil,
        tacho__run__tags=json.dumps([evil]), error=evil, tacho__run__stop_reason=evil,
        tacho__input=json.dumps({"task": evil}),
    )  # fmt: skip
    made.span(
        2, evil, 1, at_ms=10, ms=100, tacho__layer="model", **MODEL, gen_ai__response__model=evil,
        gen_ai__input__messages=messages(("user", evil)), gen_ai__output__messages=messages(("assistant", evil)),
    )  # fmt: skip
    tool(
        made, 3, 1, evil, 200, 100, {"q": evil}, {"r": evil}, error=evil,
        events=[("exception", {"exception.type": evil, "exception.message": evil, "exception.stacktrace": evil})],
        **{evil: evil},
    )  # fmt: skip
    return made


def live(trace, tools=2, start_ns=None):
    """A run that still runs: its root and its last tool are open."""
    made = Trace(trace)
    made.start_ns = start_ns or made.start_ns
    made.span(
        1, "run watch", ms=None, tacho__layer="run", tacho__open=True, gen_ai__agent__name="watcher",
        tacho__run__goal="Watch the queue",
    )  # fmt: skip
    for number in range(tools):
        tool(
            made, 2 + number, 1, f"poll_{number}", 1_000 * number, 500, {"n": number}, {"ok": True}
        )
    made.span(
        1_000, "execute_tool wait", 1, at_ms=1_000 * tools, ms=None, tacho__layer="tool",
        tacho__open=True, gen_ai__tool__name="wait",
    )  # fmt: skip
    return made


def large(trace, spans):
    """A run of many spans: agents that take turns, each with a model call, gates and tools."""
    made = Trace(trace)
    made.span(1, "run large", ms=spans * 10, tacho__layer="run", tacho__run__goal="A long day")
    number, at = 2, 0
    while number <= spans:
        turn, size = number, min(40, spans - number + 1)
        made.span(turn, f"turn {turn}", 1, at_ms=at, ms=size * 10, tacho__layer="step")
        number += 1
        for k in range(size - 1):
            layer = ("model", "gate", "tool", "validation", "memory")[k % 5]
            name = f"{layer} {('alpha', 'beta', 'gamma', 'delta')[(number // 5) % 4]}"
            failed = {"error": "boom"} if (number + k) % 151 == 0 else {}
            made.span(number, name, turn, at_ms=at + k * 10, ms=9, tacho__layer=layer, **failed)
            number += 1
        at += size * 10
    return made
