"""What a run is: computed from its spans, however they arrive."""

from __future__ import annotations

import pytest

from otlp import NS, Trace, span_id

CALL = {"gen_ai__operation__name": "chat", "gen_ai__response__model": "m1"}


def runs(ask, columns):
    return ask(f"SELECT {columns} FROM runs ORDER BY started_at")


def test_a_plain_opentelemetry_trace_is_a_run(load, ask):
    load(Trace(3, service="cron").span(1, "nightly", ms=50).span(2, "part", 1, ms=20).body())
    assert runs(ask, "agent, name, outcome, span_count, model_calls, duration_ns") == [
        ("cron", "nightly", "success", 2, 0, 50_000_000)
    ]


def test_transport_noise_alone_is_no_run_and_joins_one_as_noise(load, ask):
    noise = Trace(4).span(1, "GET /health", http__request__method="GET")
    busy = (
        Trace(5)
        .span(1, "POST /ask", http__request__method="POST", ms=90)
        .span(
            2,
            "invoke_agent helper",
            1,
            gen_ai__operation__name="invoke_agent",
            gen_ai__agent__name="helper",
        )
    )
    load(noise.body(), busy.body())
    assert runs(ask, "agent, name, span_count") == [("helper", "invoke_agent helper", 2)]


def test_children_before_parents_over_several_batches(load, ask):
    trace = Trace(6)
    root = Trace(6)
    root.start_ns = trace.start_ns
    load(
        trace.span(
            2,
            "chat",
            1,
            at_ms=5,
            gen_ai__usage__input_tokens=10,
            gen_ai__usage__output_tokens=1,
            **CALL,
        ).body()
    )
    assert runs(ask, "outcome, model_calls") == [("running", 1)]
    load(
        root.span(
            1,
            "invoke_agent a",
            ms=100,
            tacho__layer="run",
            tacho__run__goal="find it",
            tacho__run__outcome="success",
        ).body()
    )
    assert runs(ask, "outcome, goal, span_count, model_calls, root_span_id") == [
        ("success", "find it", 2, 1, span_id(1))
    ]


def test_the_same_call_seen_twice_is_counted_once(load, ask):
    tokens = {"gen_ai__usage__input_tokens": 10, "gen_ai__usage__output_tokens": 1}
    load(
        Trace(8)
        .span(1, "run", tacho__layer="run")
        .span(2, "chat", 1, **tokens, **CALL)
        .span(3, "anthropic.messages.create", 2, **tokens, **CALL)
        .span(4, "chat", 1, **tokens, **CALL)
        .body()
    )
    assert runs(ask, "model_calls, input_tokens, output_tokens") == [(2, 20, 2)]


def test_spans_sent_again_are_counted_once(load, ask):
    body = (
        Trace(9)
        .span(1, "run", tacho__layer="run")
        .span(2, "chat", 1, gen_ai__usage__input_tokens=7, **CALL)
        .body()
    )
    load(body)
    load(body)
    load(body, body)
    assert runs(ask, "span_count, model_calls, input_tokens") == [(2, 1, 7)]


@pytest.mark.parametrize(
    ("attributes", "error", "outcome", "reason"),
    [
        ({"tacho__run__outcome": "success"}, None, "success", ""),
        (
            {"tacho__run__outcome": "stopped", "tacho__run__stop_reason": "over budget"},
            None,
            "stopped",
            "over budget",
        ),
        ({}, "it broke", "failure", "it broke"),
        ({"tacho__run__outcome": "nonsense"}, "it broke", "failure", "it broke"),
    ],
)
def test_outcome_and_reason(load, ask, attributes, error, outcome, reason):
    load(Trace().span(1, "run", tacho__layer="run", error=error, **attributes).body())
    assert runs(ask, "outcome, stop_reason") == [(outcome, reason)]


def test_a_failed_step_does_not_fail_the_run(load, ask):
    load(
        Trace()
        .span(1, "run", tacho__layer="run")
        .span(2, "tool", 1, error="timeout", tacho__layer="tool")
        .body()
    )
    assert runs(ask, "outcome, error_count, stop_reason") == [("success", 1, "")]


def test_a_failure_that_is_retried_is_one_error(load, ask):
    load(
        Trace()
        .span(1, "run", tacho__layer="run")
        .span(2, "tool", 1, error="timeout", tacho__layer="tool")
        .span(3, "retry", 1, tacho__layer="retry", error__type="TimeoutError")
        .span(4, "tool", 3, tacho__layer="tool")
        .body()
    )
    assert runs(ask, "outcome, error_count") == [("success", 1)]
    assert ask("SELECT status FROM spans WHERE layer = 'retry'") == [("error",)]


def test_a_silent_run_is_interrupted_after_a_while(client, load, ask):
    load(Trace(1).span(1, ms=None, tacho__layer="run", tacho__open=True).body())
    assert runs(ask, "outcome") == [("running",)]
    client.command(
        "INSERT INTO run_rows SELECT * REPLACE (computed_at_ns + 1 AS computed_at_ns, now64(9) - toIntervalMinute(2) AS last_seen_at) FROM run_rows FINAL"
    )
    assert runs(ask, "outcome") == [("interrupted",)]


def test_a_recovered_run_is_interrupted_at_once_and_running_when_resumed(load, ask):
    dead = {"tacho__open": True, "tacho__run__outcome": "interrupted", "tacho__run__id": "r1"}
    load(Trace(1).span(1, ms=None, tacho__layer="run", tacho__run__trigger="cli", **dead).body())
    assert runs(ask, "outcome") == [("interrupted",)]
    again = {"tacho__open": True, "tacho__run__id": "r1", "tacho__run__trigger": "cli"}
    load(Trace(2).span(1, ms=None, at_ms=500, tacho__layer="run", **again).body())
    assert runs(ask, "outcome") == [("running",)]


def test_a_recovered_run_took_until_its_last_sign_of_life(load, ask):
    """Not until its spans were found and sent, a minute later here: that may be the next morning."""
    dead = {"tacho__open": True, "tacho__layer": "run", "tacho__run__outcome": "interrupted"}
    trace = Trace(1).span(2, "look", 1, at_ms=100, ms=50, tacho__layer="tool")
    load(trace.span(1, ms=None, **dead).body())
    took = "duration_ns, (toUnixTimestamp64Nano(last_seen_at) - toUnixTimestamp64Nano(started_at))"
    assert runs(ask, took) == [(150_000_000, 150_000_000)]
    alive_ns = trace.start_ns + 40 * NS
    hung = Trace(2)
    hung.start_ns = trace.start_ns
    load(hung.span(1, ms=None, tacho__alive_unix_ns=alive_ns, **dead).body())
    assert ask("SELECT max(duration_ns) FROM runs") == [(40 * NS,)]


def test_the_wait_for_a_new_attempt_begins_when_the_dead_one_was_last_alive(load, ask):
    """Its spans may be recovered after the new attempt has begun."""
    same = {"tacho__layer": "run", "tacho__run__id": "r1"}
    dead = same | {"tacho__open": True, "tacho__run__outcome": "interrupted"}
    first, again = Trace(1), Trace(2)
    again.start_ns = first.start_ns
    alive_ns = first.start_ns + 5 * NS
    load(again.span(1, at_ms=9_000, ms=1_000, **same).body())
    load(first.span(1, ms=None, tacho__alive_unix_ns=alive_ns, **dead).body())
    assert runs(ask, "outcome, duration_ns, waiting_ns") == [("success", 10 * NS, 4 * NS)]


def test_a_run_over_two_traces_is_one_run(load, ask):
    first = Trace(1).span(1, "run", tacho__layer="run", tacho__run__id="r1", error="killed")
    second = Trace(2).span(
        1, "run", at_ms=500, tacho__layer="run", tacho__run__id="r1", tacho__run__outcome="success"
    )
    load(first.body(), second.body())
    assert runs(ask, "run_id, outcome, span_count") == [("r1", "success", 2)]


def test_unpriced_calls_are_counted_and_never_zero_dollars(load, ask):
    tokens = {"gen_ai__usage__input_tokens": 10, "gen_ai__usage__output_tokens": 1}
    load(Trace(1).span(1, "run", tacho__layer="run").span(2, "chat", 1, **tokens, **CALL).body())
    assert runs(ask, "cost_usd, unpriced_calls") == [(None, 1)]


def test_what_the_run_says_about_itself(load, ask):
    load(
        Trace(1, service="billing-svc")
        .span(
            1,
            "invoke_agent billing",
            tacho__layer="run",
            gen_ai__agent__name="billing",
            gen_ai__agent__version="7",
            tacho__run__tags='["b","a","b"]',
            tacho__run__spans_made=120,
            tacho__customer="acme",
            session__id="s",
            user__id="u",
            tacho__run__entrypoint="app:main",
            tacho__run__code_version="abc-dirty",
            tacho__run__trigger="cli",
            tacho__input='{"task":"x"}',
            tacho__output='"done"',
        )
        .span(2, "approve", 1, tacho__layer="approval", tacho__waiting_ns=5_000)
        .body()
    )
    assert runs(
        ask,
        "agent, service, version, tags, spans_made, span_count, customer, session_id, user_id, entrypoint, code_version, trigger, input, output, waiting_ns, layer_counts",
    ) == [
        (
            "billing",
            "billing-svc",
            "7",
            ["a", "b"],
            120,
            2,
            "acme",
            "s",
            "u",
            "app:main",
            "abc-dirty",
            "cli",
            '{"task":"x"}',
            '"done"',
            5000,
            {"run": 1, "approval": 1},
        )
    ]


def test_a_run_whose_steps_have_ended_still_runs_while_its_own_span_is_open(load, ask):
    load(
        Trace(1)
        .span(1, "run", ms=None, tacho__layer="run", tacho__open=True)
        .span(2, "tool", 1, at_ms=5, ms=20, tacho__layer="tool")
        .body()
    )
    ((outcome, ended_at, spans, duration_ns),) = runs(
        ask, "outcome, ended_at, span_count, duration_ns"
    )
    assert (outcome, ended_at, spans) == ("running", None, 2)
    assert duration_ns > 59 * NS, "a running run lasts until now; this one began a minute ago"


def test_a_failed_call_without_usage_is_not_unpriced(load, ask):
    load(
        Trace(1)
        .span(1, "run", tacho__layer="run")
        .span(2, "chat nope", 1, error="404 model not found", **CALL)
        .body()
    )
    assert runs(ask, "model_calls, unpriced_calls, cost_usd") == [(1, 0, None)]


def test_a_run_that_is_resumed_runs_again(load, ask):
    first = Trace(1).span(1, "run", tacho__layer="run", tacho__run__id="r1", error="killed")
    second = Trace(2).span(
        2, "run", at_ms=500, ms=None, tacho__layer="run", tacho__run__id="r1", tacho__open=True
    )
    load(first.body(), second.body())
    assert runs(ask, "outcome, ended_at") == [("running", None)]


def test_waiting_is_what_people_took_and_what_passed_between_attempts(load, ask):
    """A request that outlived its process is counted once: as the time between, or as long as it took."""
    second_ns = NS
    first = Trace(21).span(
        1,
        "pay",
        ms=1_000,
        tacho__layer="run",
        tacho__run__outcome="stopped",
        tacho__run__stop_reason="asked",
    )
    first.span(
        2, "approval", 1, at_ms=500, ms=400, tacho__layer="approval", tacho__waiting_ns=400_000_000
    )
    later = Trace(22)
    later.start_ns = first.start_ns + 11 * second_ns
    later.span(
        3,
        "pay",
        ms=2_000,
        tacho__layer="run",
        tacho__run__id=first.id,
        tacho__run__outcome="success",
    )
    later.span(
        4, "approval", 3, ms=1, tacho__layer="approval", tacho__run__id=first.id,
        tacho__waiting_ns=9 * second_ns,
    )  # fmt: skip
    load(first.body(), later.body())
    assert runs(ask, "outcome, stop_reason, duration_ns, waiting_ns") == [
        ("success", "", 13 * second_ns, 400_000_000 + 1_000_000 + 10 * second_ns)
    ]


def test_an_attempt_that_was_killed_leaves_the_count_of_spans_unknown(load, ask):
    first = Trace(23).span(1, "pay", ms=None, tacho__layer="run", tacho__open=True)
    later = Trace(24)
    later.span(
        2,
        "pay",
        tacho__layer="run",
        tacho__run__id=first.id,
        tacho__run__outcome="success",
        tacho__run__spans_made=1,
    )
    load(first.body(), later.body())
    assert runs(ask, "outcome, span_count, spans_made") == [("success", 2, None)]


def test_a_call_that_two_runs_tell_of_counts_in_one_of_them_over_several_batches(load, ask):
    """The same answers seen by a gateway, an agent and a tracer, each with a trace of its own."""

    began_ns = Trace(1).start_ns

    def told(number: int, *answers: str) -> bytes:
        trace = Trace(number, scope=f"teller-{number}")
        trace.start_ns = began_ns
        trace.span(1, "invoke_agent a", ms=900)
        for at, answer in enumerate(answers, start=2):
            words = {"gen_ai__response__id": answer, "gen_ai__usage__input_tokens": 10}
            trace.span(at, "chat", 1, at_ms=ord(answer[0]) * 10, ms=5, **words, **CALL)
        return trace.body()

    load(told(1, "a", "b"))
    load(told(2, "b", "c"))
    load(told(3, "c", "d"))
    load(told(4, "unrelated"))
    totals = ask("SELECT count(), sum(model_calls), sum(input_tokens) FROM runs")
    assert totals == [(4, 5, 50)]


def test_a_model_call_is_told_with_its_own_agent_and_with_its_run_s(load, ask):
    trace = (
        Trace(30)
        .span(1, "invoke_agent desk", ms=50, gen_ai__agent__name="desk")
        .span(2, "invoke_agent writer", 1, at_ms=5, ms=30, gen_ai__agent__name="writer")
        .span(3, "chat", 2, at_ms=10, gen_ai__agent__name="writer", **CALL)
    )
    load(trace.body())
    assert ask("SELECT run_agent, agent FROM model_calls") == [("desk", "writer")]
