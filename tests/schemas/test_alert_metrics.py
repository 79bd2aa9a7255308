"""The figures that alerts watch, against spans whose truth is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from otlp import Trace
from tachograph_schemas import alerts

CALL = {"gen_ai__operation__name": "chat", "gen_ai__provider__name": "anthropic"}
TOOL = {"gen_ai__operation__name": "execute_tool", "gen_ai__tool__name": "refund"}


def run(number: int, agent: str, customer: str, outcome: str, *, fails: bool = False) -> bytes:
    """A run of a minute ago: a model call of 2 s, a tool call, a check, a repair, a gate, a breaker."""
    who = {"tacho__customer": customer, "gen_ai__agent__name": agent}
    priced = {"gen_ai__response__model": "claude-sonnet-4-5", "gen_ai__usage__input_tokens": 1000}
    unpriced = {"gen_ai__response__model": "nobody-knows-it", "gen_ai__usage__input_tokens": 50}
    usage = (unpriced if fails else priced) | {"gen_ai__usage__output_tokens": 100}
    verdict = "fail" if fails else "pass"
    trace = Trace(number)
    trace.span(
        1, "handle", tacho__layer="run", tacho__run__outcome=outcome, tacho__run__spans_made=9,
        ms=4_000, error="broke" if outcome == "failure" else None, **who,
    )  # fmt: skip
    trace.span(2, "chat", 1, ms=2_000, **CALL, **usage, **who)
    trace.span(3, "refund", 1, ms=500, error="timeout" if fails else None, **TOOL, **who)
    layers = {
        "validation": {"tacho__validation__verdict": verdict},
        "repair": {
            "tacho__repair__attempt": 1,
            "tacho__repair__outcome": "gave_up" if fails else "repaired",
        },
        "gate": {"tacho__gate__verdict": "deny" if fails else "allow"},
        "breaker": {
            "tacho__breaker__event": "opened" if fails else "closed",
            "tacho__breaker__name": "crm",
        },
    }
    for span, (name, said) in enumerate(layers.items(), 4):
        trace.span(span, name, 1, at_ms=100, ms=1, tacho__layer=name, **said, **who)
    return trace.body()


@pytest.fixture
def measure(client, load):
    load(
        run(1, "billing", "acme", "success"),
        run(2, "billing", "beta", "failure", fails=True),
        run(3, "support", "acme", "success"),
    )

    def measured(name: str, group_by="", only=None, window_s: int = 300) -> dict[str, object]:
        rows = alerts.measure(
            client, alerts.METRICS[name], project="default", group_by=group_by,
            window_s=window_s, only=only or {}, until=datetime.now(UTC) + timedelta(seconds=1),
        )  # fmt: skip
        return {row.key: row.value if row.value is None else round(row.value, 6) for row in rows}

    return measured


def test_every_figure_can_be_measured_by_everything_it_is_split_by(measure):
    for metric in alerts.METRICS.values():
        if metric.source not in alerts.CONTROL_SOURCES:
            for group in metric.groups:
                only = {group: ["nobody", "it's \\ \"\u20ac"]} if group else {}
                assert set(measure(metric.name, group, only)) <= {"nobody", ""}, metric.name


def test_the_figures_are_the_truth(measure):
    # of runs
    assert measure("runs", "agent") == {"billing": 2, "support": 1}
    assert measure("runs", only={"customer": ["acme"]}) == {"": 2}
    assert measure("failure_rate", "agent") == {"billing": 0.5, "support": 0}
    assert measure("success_rate") == {"": round(2 / 3, 6)}
    assert measure("run_p95_s", "customer") == {"acme": 4, "beta": 4}
    assert measure("lost_spans", "agent") == {"billing": 4, "support": 2}
    assert measure("interrupted_runs") == {"": 0}
    assert measure("runs", "agent", window_s=1) == {}

    # of model calls
    price = (1000 * 3 + 100 * 15) / 1e6
    assert measure("cost_usd", "agent") == {"billing": price, "support": price}
    assert measure("tokens", "model") == {"claude-sonnet-4-5": 2200, "nobody-knows-it": 150}
    assert measure("unpriced_calls", "agent") == {"billing": 1, "support": 0}
    assert measure("cost_per_success_usd") == {"": price}

    # of spans
    assert measure("model_p95_s") == {"": 2}
    assert measure("tool_error_rate", "tool")["refund"] == round(1 / 3, 6)
    assert measure("validation_failure_rate", "customer") == {"acme": 0, "beta": 1}
    assert measure("repair_success_rate") == {"": round(2 / 3, 6)}
    assert measure("breaker_trips", "agent") == {"billing": 1, "support": 0}
    assert measure("gate_denials", only={"agent": ["billing"]}) == {"": 1}


def test_what_stays_open_and_what_does_not_come(load, measure):
    # A breaker is open until it is closed.
    assert 50 < measure("breaker_open_s", "customer")["beta"] < 600
    assert measure("breaker_open_s", "customer")["acme"] == 0
    closed = {
        "tacho__breaker__name": "crm",
        "tacho__layer": "breaker",
        "tacho__breaker__event": "closed",
    }
    load(
        Trace(9)
        .span(
            1, "crm", **closed, at_ms=30_000, gen_ai__agent__name="billing", tacho__customer="beta"
        )
        .body()
    )
    assert measure("breaker_open_s", "customer")["beta"] == 0

    # A run is stuck when nothing begins in it and nobody is asked.
    assert measure("stuck_runs") in ({}, {"": 0})
    who = {"tacho__layer": "run", "gen_ai__agent__name": "slow"}
    waits = {"tacho__layer": "approval", "gen_ai__agent__name": "slow"}
    load(
        Trace(11).span(1, "handle", ms=None, **who).body(),
        Trace(12).span(1, "handle", ms=None, **who).span(2, "ask", 1, ms=None, **waits).body(),
    )
    assert measure("stuck_runs", "agent", window_s=30) == {"slow": 1}
    assert measure("stuck_runs", "agent", window_s=300) == {"slow": 0}
    # What runs is no run that ended.
    assert "slow" not in measure("runs", "agent")

    # A run repeats itself when a tool gives the same for the same arguments three times; polls that change do not.
    # Calls whose arguments were not kept say nothing.
    assert measure("looping_runs", "agent") == {}
    looping, polling = Trace(13), Trace(14)
    for trace, answers in ((looping, "aaa"), (polling, "abc")):
        who = {"gen_ai__agent__name": "seeker"}
        trace.span(1, "handle", ms=900, tacho__layer="run", tacho__run__outcome="success", **who)
        for span, answer in enumerate(answers, 2):
            given = {"tacho__input": '{"order": 1}', "tacho__output": f'"{answer}"'}
            trace.span(span, "refund", 1, at_ms=10 * span, ms=1, **TOOL, **given, **who)
    load(polling.body())
    assert measure("looping_runs", "agent") == {"seeker": 0}
    load(looping.body())
    assert measure("looping_runs", "agent") == {"seeker": 1}
    assert measure("looping_runs", only={"agent": ["support"]}) == {}

    # Silence is the time since something came.
    silence_s = measure("silence_s", "agent")
    assert 0 < silence_s["billing"] < silence_s["support"]


def test_a_figure_is_shown_in_its_unit():
    shown = {
        name: alerts.METRICS[name].shown(value)
        for name, value in (
            ("cost_usd", 12.5), ("run_p95_s", 90), ("failure_rate", 0.125), ("runs", 1200), ("tokens", None),
        )
    }  # fmt: skip
    assert shown == {
        "cost_usd": "$12.50", "run_p95_s": "1 min 30 s", "failure_rate": "12.5 %", "runs": "1,200",
        "tokens": "no data",
    }  # fmt: skip


def test_what_a_figure_cannot_be_split_by_is_refused(client):
    metric = alerts.METRICS["runs"]
    with pytest.raises(ValueError, match="runs knows agent"):
        alerts.measure(
            client, metric, project="default", group_by="tool", window_s=60, only={}, until=datetime.now(UTC)
        )  # fmt: skip
