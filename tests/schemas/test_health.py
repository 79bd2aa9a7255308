"""Health and maturity of agents, and what a run is held against, on a real engine."""

import ast
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest

import tachograph
from otlp import Trace
from tachograph_schemas import comparison, health, maturity, queries, settings


@pytest.fixture
def window():
    now = datetime.now(UTC)
    return health.Window(now - timedelta(days=1), now + timedelta(hours=1))


def a_run(number, agent="desk", *, outcome="success", goal="Refund order 7", version="1.0", **more):
    made = Trace(number)
    error = {"error": "boom"} if outcome == "failure" else {}
    made.span(
        1, "run", ms=10_000, tacho__layer="run", gen_ai__agent__name=agent, tacho__run__goal=goal,
        gen_ai__agent__version=version, tacho__run__outcome=outcome, tacho__run__entrypoint="app:main", **error, **more,
    )  # fmt: skip
    return made


def step(made, number, layer, at_ms=100, parent=1, **values):
    return made.span(number, layer, parent, at_ms=at_ms, ms=5, tacho__layer=layer, **values)


def a_harness(made):
    """One of each decision, the check and its repair by a sub-agent."""
    step(made, 2, "agent", gen_ai__agent__name="checker")
    step(
        made,
        3,
        "validation",
        110,
        2,
        tacho__validation__verdict="fail",
        gen_ai__agent__name="checker",
    )
    step(
        made,
        4,
        "validation",
        120,
        2,
        tacho__validation__verdict="pass",
        gen_ai__agent__name="checker",
    )
    step(made, 5, "repair", 130, 2, tacho__repair__attempt=2, tacho__repair__outcome="repaired")
    step(made, 6, "gate", 140, tacho__gate__verdict="deny", tacho__gate__action="blocked")
    step(made, 7, "approval", 150, tacho__approval__decision="approved", tacho__approval__approver="maria",
         tacho__waiting_ns=4_000_000_000)  # fmt: skip
    step(made, 8, "retry", 160, tacho__retry__of="look")
    step(made, 9, "breaker", 1_000, tacho__breaker__name="crm", tacho__breaker__event="opened",
         tacho__breaker__from="closed", tacho__breaker__to="open")  # fmt: skip
    step(made, 10, "breaker", 3_000, tacho__breaker__name="crm", tacho__breaker__event="closed",
         tacho__breaker__from="open", tacho__breaker__to="closed")  # fmt: skip
    step(
        made,
        11,
        "checkpoint",
        4_000,
        tacho__checkpoint__action="restored",
        tacho__checkpoint__lost=3,
    )
    return made


def test_health_counts_what_sub_agents_did_for_the_agent_of_the_run(client, load, window):
    load(a_harness(a_run(1)).body(), a_run(2, outcome="failure").body(), a_run(3, "other").body())
    found = {each.runs.agent: each for each in health.agents(client, window)}
    assert set(found) == {"desk", "other"}
    desk = found["desk"]
    assert (desk.runs.runs, desk.runs.succeeded, desk.runs.failed) == (2, 1, 1)
    assert desk.runs.success_rate == 0.5
    assert desk.harness.validation_failure_rate == 0.5
    assert (desk.harness.repair_success_rate, desk.attempts_to_success) == (1.0, 2.0)
    assert (desk.harness.gates_denied, desk.harness.retries, desk.retry_rate) == (1, 1, 0.5)
    assert desk.mean_approval_wait_ns == 4_000_000_000
    assert (desk.harness.restores, desk.harness.work_lost) == (1, 3)
    assert found["other"].harness.validation_failure_rate is None
    assert health.agent(client, "desk", window) == desk
    assert health.agent(client, "nobody", window) is None


def test_a_breaker_is_open_from_its_trip_to_its_next_change(client, load, window):
    load(a_harness(a_run(1)).body())
    (crm,) = health.breakers(client, "desk", window)
    assert (crm.name, crm.trips, crm.open_ns) == ("crm", 1, 2_000_000_000)


def test_a_question_about_one_agent_leaves_the_answers_about_others_whole(client, load, window):
    """ClickHouse may remember what a join filtered out; nothing here may lead it to."""
    load(a_harness(a_run(1)).body(), a_run(2, "plain").body())
    assert health.breakers(client, "plain", window) == []
    assert len(health.breakers(client, "desk", window)) == 1
    assert len(health.course(client, "desk", window, 3_600)) == 1
    assert health.agents(client, window)[0].harness.breaker_trips == 1


def test_versions_and_the_time_asked_for(client, load, window):
    load(a_run(1, version="1.0").body(), a_run(2, version="2.0", outcome="stopped").body())
    by_label = {each.label: each for each in health.versions(client, "desk", window)}
    assert (by_label["1.0"].succeeded, by_label["2.0"].stopped) == (1, 1)
    earlier = health.Window(window.since - timedelta(days=9), window.since)
    assert health.agents(client, earlier) == []


def test_a_span_sent_twice_is_counted_once(client, load, window):
    body = a_harness(a_run(1)).body()
    load(body)
    load(body)
    (desk,) = health.agents(client, window)
    assert (desk.runs.runs, desk.harness.gates) == (1, 1)


def test_loops_are_found_over_all_runs(client, load, window):
    def looking(number, answers):
        made = a_run(number)
        for at, answer in enumerate(answers, start=2):
            made.span(
                at, "execute_tool look", 1, at_ms=at * 10, ms=5, tacho__layer="tool", gen_ai__tool__name="look",
                gen_ai__tool__call__arguments='{"q": "x"}', gen_ai__tool__call__result=answer,
            )  # fmt: skip
        return made.body()

    load(looking(1, ["a"] * 4), looking(2, ["a", "b", "c"]), looking(3, ["a", "a"]))
    found = [
        (loop.agent, loop.same_call, loop.same_result) for loop in health.loops(client, window)
    ]
    assert found == [("desk", 4, 4), ("desk", 3, 1)]


# --- maturity -------------------------------------------------------------------------------------


def test_a_bare_run_is_a_script(client, load, window):
    load(a_run(1).body())
    card = maturity.scorecard(health.evidence(client, "desk", window))
    assert (card.level, card.name, card.runs) == (0, "Script", 1)
    assert card.next is not None
    assert card.next.key == "tools"


def test_tools_with_limits_and_checks_make_controlled_tools(client, load, window):
    made = a_run(1)
    made.span(
        2, "execute_tool look", 1, ms=5, tacho__layer="tool", gen_ai__tool__name="look", tacho__tool__effect="read",
        tacho__tool__scope="orders:read", gen_ai__tool__call__arguments="{}", gen_ai__tool__call__result='"x"',
    )  # fmt: skip
    step(made, 3, "validation", tacho__validation__verdict="pass")
    load(made.body())
    card = maturity.scorecard(health.evidence(client, "desk", window))
    assert card.level == 1
    assert [sign.key for sign in card.signs if sign.level == 2 and sign.seen] == [
        "contents",
        "goal",
    ]
    assert card.next is not None
    assert card.next.key == "replay"
    assert dict(card.layers)["tool"] == 1


def test_the_lines_of_code_on_the_card_name_what_there_is():
    """Each is Python that parses (or a setting), and calls functions that the SDK has."""
    for sign in maturity.scorecard(maturity.Evidence(*[0] * len(fields(maturity.Evidence)))).signs:
        if sign.code.startswith("TACHO_"):
            assert sign.code.split("=")[0] in {known.upper() for known in settings.known()}
            continue
        text = f"{sign.code}\ndef f(): ..." if sign.code.startswith("@") else sign.code
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "tacho":
                assert hasattr(tachograph, node.attr), sign.code


def a_card(**counts):
    every = {column.name: 0 for column in fields(maturity.Evidence)} | {"runs": 10}
    return maturity.scorecard(maturity.Evidence(**every | counts))


def test_an_agent_without_tools_has_none_to_control():
    known = {"model_calls": 10, "calls_ended": 10, "calls_with_contents": 10, "validations": 1}
    assert a_card(**known).level == 1
    seen = {"runs_with_goal": 10, "recordings": 10}
    assert a_card(**known, **seen).level == 2
    assert a_card(**known, runs_with_goal=9, recordings=10).level == 1


def test_from_the_third_level_on_one_sign_may_be_missing():
    known = {"model_calls": 10, "calls_ended": 10, "calls_with_contents": 10, "validations": 1}
    known |= {"runs_with_goal": 10, "recordings": 10, "retries": 1, "checkpoints": 1}
    assert a_card(**known).level == 2
    assert a_card(**known, stops=1).level == 3
    governed = {"stops": 1, "gates": 1, "gates_enforced": 1, "evals": 3, "budgets": 1}
    assert a_card(**known, **governed).level == 4
    full = {"runs_with_evals": 3, "days_with_evals": 3, "runs_with_version": 10, "verifications": 1}
    card = a_card(**known, **governed, **full)
    assert (card.level, card.next) == (5, None)
    # A level counts only on top of those below it.
    assert a_card(**governed, **full).level == 0


# --- what a run is held against -------------------------------------------------------------------


def test_the_nearest_success_was_asked_most_nearly_the_same(client, load):
    load(
        a_run(1, goal="Refund order 58213, the chairs broke").body(),
        a_run(2, goal="Translate the handbook into Norwegian").body(),
        a_run(3, goal="Refund order 60001, the table broke", outcome="failure").body(),
        a_run(4, agent="another", goal="Refund order 60001, the table broke").body(),
    )
    failed = queries.run(client, (3).to_bytes(16, "big").hex())
    found = comparison.nearest_success(client, failed)
    assert found.run.goal.startswith("Refund order 58213")
    assert 0.4 < found.likeness < 1
    parted = comparison.parted(client, failed, queries.account_spans(client, failed.run_id))
    assert (parted.run_id, parted.what) == (found.run.run_id, "nothing")
    succeeded = queries.run(client, (2).to_bytes(16, "big").hex())
    assert comparison.parted(client, succeeded, []) is None


def test_usual_is_said_of_enough_runs_only(client, load):
    def runs(numbers):
        for number in numbers:
            made = a_run(number)
            step(made, 2, "model", gen_ai__operation__name="chat", gen_ai__response__model="m",
                 gen_ai__usage__input_tokens=100 * number, gen_ai__usage__output_tokens=1)  # fmt: skip
            yield made.body()

    load(*runs(range(1, comparison.LEAST_RUNS + 1)))
    first = queries.run(client, (1).to_bytes(16, "big").hex())
    # The run itself is none of those it is held against.
    assert comparison.usual(client, first) is None
    load(*runs([comparison.LEAST_RUNS + 1]))
    usual = comparison.usual(client, first)
    assert usual.runs == comparison.LEAST_RUNS
    assert (usual.context_tokens_p99, usual.steps_p99) == (100 * (comparison.LEAST_RUNS + 1), 1)
