"""The demo agents end to end: what they did to their world, and what the record says of it."""

from __future__ import annotations

import json

import pytest

import tachograph as tacho
from tachograph import demo
from tachograph.demo import contract, crash, loop, monday, planner, shop, support
from tachograph.demo.conversation import OVERLOADED
from tachograph.demo.model_server import ModelServer
from tachograph.demo.scripts import SCRIPTS
from tachograph.demo.stage import Claude, connect
from tachograph.testing import captured_spans
from tachograph_schemas import names


@pytest.fixture
def server():
    with ModelServer(SCRIPTS, min_cacheable_tokens=200) as running:
        yield running


@pytest.fixture
def claude(server):
    return Claude("claude-haiku-4-5", {"api_key": "k", "base_url": server.url}, bundled=True)


@pytest.fixture
def spans():
    tacho.instrument("anthropic")
    try:
        with captured_spans() as collected:
            yield collected
    finally:
        tacho.uninstrument("anthropic")


def run_span(spans):
    return spans.one(layer="run")


def test_support_moves_money_once_after_gate_repair_and_approval(claude, spans):
    ticket, world = shop.job(), shop.Shop()
    mail = support.play(claude, ticket, world)

    assert [receipt.amount_usd for receipt in world.receipts.values()] == [115.6]
    assert [address for address, _ in world.outbox] == ["ingrid.halvorsen@example.com"]
    assert "115.60 USD" in mail

    refund = spans.one(name="execute_tool refund")
    assert refund.attributes[names.TOOL_EFFECT] == "write"
    assert refund.attributes[names.TOOL_RISK] == "high"
    assert refund.input["amount_usd"] == 115.6

    verdicts = [
        (span.attributes[names.GATE_RULE], span.attributes[names.GATE_VERDICT])
        for span in spans.where(layer="gate")
    ]
    assert verdicts == [
        ("refund within policy", "deny"),
        ("refund within policy", "allow"),
        ("small refunds only", "escalate"),
    ]
    assert spans.where(layer="gate")[0].input["amount_usd"] == 289.0

    repair = spans.one(layer="repair").attributes
    assert (repair[names.REPAIR_OUTCOME], repair[names.REPAIR_ATTEMPT]) == ("repaired", 1)
    assert "at most 115.60 USD" in repair[names.REPAIR_FEEDBACK]

    approval = spans.one(layer="approval")
    assert approval.attributes[names.APPROVAL_DECISION] == "approved"
    assert approval.attributes[names.APPROVAL_APPROVER] == "Mara Lindqvist (scripted)"
    assert approval.attributes[names.WAITING_NS] >= 390_000_000
    assert approval.end_time_ns <= refund.start_time_ns


def test_support_looks_up_in_parallel_and_retries_the_stalled_source_once(claude, spans):
    support.play(claude, shop.job())
    customer = spans.one(name="execute_tool lookup_customer")
    order = spans.one(name="execute_tool lookup_order")
    assert order.start_time_ns < customer.end_time_ns + 50_000_000
    assert order.end_time_ns - order.start_time_ns >= support.ORDER_TIMEOUT_S * 0.9e9
    retry = spans.one(layer="retry")
    assert retry.parent_id == order.span_id
    assert retry.attributes[names.ERROR_TYPE] == "TimeoutError"
    first = spans.where(layer="model")[0]
    asked = json.loads(first.attributes[names.GEN_AI_OUTPUT_MESSAGES])[0]["parts"]
    ids = {part["name"]: part["id"] for part in asked if part["type"] == "tool_call"}
    assert order.attributes[names.GEN_AI_TOOL_CALL_ID] == ids["lookup_order"]
    assert customer.attributes[names.GEN_AI_TOOL_CALL_ID] == ids["lookup_customer"]


def test_support_run_says_who_for_what_and_ends_in_success(claude, spans):
    ticket = shop.job()
    support.play(claude, ticket)
    run = run_span(spans)
    assert run.run_id == ticket.run_id
    expected = {
        names.GEN_AI_AGENT_NAME: "support-refund",
        names.GEN_AI_AGENT_VERSION: "2.3.0",
        names.RUN_OUTCOME: "success",
        names.RUN_TRIGGER: "ticket T-90412",
        names.CUSTOMER: "Halvorsen Kaffebar",
        names.USER_ID: "ingrid.halvorsen@example.com",
        names.SESSION_ID: "mail-2041-7",
        names.RUN_TAGS: '["demo", "support", "refund"]',
    }
    assert {key: run.attributes.get(key) for key in expected} == expected
    assert "O-58213" in run.attributes[names.RUN_GOAL]
    assert run.attributes[names.RUN_SPANS_MADE] == len(spans)
    assert {span.run_id for span in spans} == {ticket.run_id}
    reads = [s.attributes[names.GEN_AI_USAGE_CACHE_READ_TOKENS] for s in spans.where(layer="model")]
    assert reads[0] == 0
    assert min(reads[1:]) > 200


def test_support_does_not_pay_what_the_shift_lead_refuses(claude, spans, monkeypatch):
    monkeypatch.setattr("tachograph.demo.shop_rules.LEAD_LIMIT_USD", 100.0)
    world = shop.Shop(stalled_order_calls=0)
    mail = support.play(claude, shop.job(), world)
    assert world.receipts == {}
    assert "refund" in mail
    assert spans.where(name="execute_tool refund") == []
    assert spans.one(layer="approval").attributes[names.APPROVAL_DECISION] == "refused"


def test_support_stops_when_the_order_source_stays_silent(claude, spans):
    world = shop.Shop(stalled_order_calls=99)
    with pytest.raises(tacho.RunStopped):
        support.play(claude, shop.job(), world)
    assert world.receipts == {}
    assert run_span(spans).attributes[names.RUN_OUTCOME] == "stopped"


def test_the_till_pays_one_key_once_and_never_more_than_was_paid():
    world = shop.Shop()
    first = world.refund("O-58213", 100.0, "T-1")
    assert world.refund("O-58213", 100.0, "T-1") is first
    with pytest.raises(ValueError, match="more than was paid"):
        world.refund("O-58213", 200.0, "T-2")


def test_planner_draft_is_rejected_once_and_passes_with_the_feedback(claude, spans):
    text = planner.play(claude, planner.job())
    assert "1,284 orders" in text

    verdicts = [s.attributes[names.VALIDATION_VERDICT] for s in spans.where(layer="validation")
                if s.attributes[names.VALIDATION_KIND] == "verification"]  # fmt: skip
    assert verdicts == ["pass", "fail", "pass", "pass"]
    labels = [span.attributes[names.EVAL_LABEL] for span in spans.where(layer="eval")]
    assert labels == verdicts

    rejected = next(
        span for span in spans.where(layer="repair") if span.attributes[names.REPAIR_ATTEMPT] == 1
    )
    feedback = rejected.attributes[names.REPAIR_FEEDBACK]
    assert "1,284" in feedback
    drafts = [span for span in spans.where(layer="agent") if span.name == "invoke_agent writer"]
    assert drafts[2].input["feedback"] == feedback
    assert "1,284" not in drafts[1].output
    assert "1,284" in drafts[2].output


def test_planner_roles_are_sub_agents_and_only_the_writer_streams(claude, spans):
    planner.play(claude, planner.job())
    by_id = {span.span_id: span for span in spans}
    streamed = {
        by_id[call.parent_id].name: call.attributes.get(names.GEN_AI_REQUEST_STREAM)
        for call in spans.where(layer="model")
    }
    assert streamed == {
        "invoke_agent planner": None,
        "invoke_agent writer": True,
        "invoke_agent evaluator": None,
    }
    run = run_span(spans)
    assert run.attributes[names.RUN_OUTCOME] == "success"
    assert {call.attributes[names.GEN_AI_AGENT_NAME] for call in spans.where(layer="model")} == {
        "planner",
        "writer",
        "evaluator",
    }
    assert run.attributes[names.RUN_SPANS_MADE] == len(spans)


def test_planner_gives_up_after_three_drafts_and_hands_over(claude, spans):
    brief = planner.job()
    # No draft tells this figure: the scripted writer always turns it into words.
    brief.facts = ["Nothing else.", "12 shops closed."]
    claude_with_stubborn_writer(claude, spans, brief)
    drafts = [span for span in spans.where(layer="agent") if span.name == "invoke_agent writer"]
    assert len(drafts) == planner.MAX_TRIES
    assert spans.one(layer="repair").attributes[names.REPAIR_OUTCOME] == "gave_up"
    assert spans.one(layer="handoff").attributes[names.HANDOFF_TO] == "human editor"
    assert run_span(spans).attributes[names.RUN_OUTCOME] == "stopped"


def claude_with_stubborn_writer(claude, spans, brief):
    from tachograph.demo.conversation import Text
    from tachograph.demo.scripts import EvaluatorScript, PlannerScript, WriterScript

    class Stubborn(WriterScript):
        def reply(self, conversation):
            return [Text("Some shops closed.")]

    with ModelServer([PlannerScript(), Stubborn(), EvaluatorScript()]) as server:
        with pytest.raises(tacho.RunStopped):
            planner.play(
                Claude("claude-haiku-4-5", claude.options | {"base_url": server.url}), brief
            )


def test_loop_is_stopped_by_the_budget_of_the_run(server, claude, spans):
    night = loop.job()
    with pytest.raises(tacho.BudgetExceeded):
        loop.play(claude, night)
    run = run_span(spans)
    assert run.run_id == night.run_id
    assert run.attributes[names.RUN_OUTCOME] == "stopped"
    assert "budget" in run.attributes[names.RUN_STOP_REASON]
    assert run.status == "unset"
    stopped = [span for span in spans.where(layer="budget")
               if span.attributes[names.BUDGET_ACTION] == "stopped"]  # fmt: skip
    assert len(stopped) == 1
    calls = spans.where(layer="model")
    assert len(calls) == len(server.requests) <= loop.MAX_MODEL_CALLS
    tools = spans.where(name="execute_tool export_ledger")
    assert {tool.status for tool in tools} == {"error"}
    alert = spans.one(name="execute_tool send_alert")
    assert "budget" in alert.input["text"]
    assert alert.start_time_ns > stopped[0].end_time_ns
    assert len(spans.where(layer="retry")) == len(tools) == len(calls) - (len(calls) > len(tools))
    assert "apologise" in calls[-1].attributes[names.GEN_AI_OUTPUT_MESSAGES]


def test_contract_answer_is_refused_as_text_and_repaired_as_a_number(claude, spans):
    risks = json.loads(contract.play(claude, contract.job()))
    assert risks["damage_cap"] == 500_000

    cleaned = spans.one(layer="normalize")
    assert cleaned.attributes[names.NORMALIZE_INJECTIONS] == 1
    assert not any("ignore all previous" in text for text in cleaned.output)
    chosen = spans.one(layer="context").attributes
    assert chosen[names.CONTEXT_USED_TOKENS] <= chosen[names.CONTEXT_BUDGET_TOKENS]
    assert (
        chosen[names.CONTEXT_SELECTED] + chosen[names.CONTEXT_DROPPED]
        == chosen[names.CONTEXT_CANDIDATES]
    )
    checks = spans.where(layer="validation")
    assert [span.attributes[names.VALIDATION_VERDICT] for span in checks][:2] == ["fail", "pass"]
    assert (checks[0].input, checks[1].input) == ("$500,000", 500_000)
    repair = spans.one(layer="repair").attributes
    assert (repair[names.REPAIR_OUTCOME], repair[names.REPAIR_ATTEMPT]) == ("repaired", 1)
    assert spans.where(layer="tool") == []
    assert run_span(spans).attributes[names.RUN_OUTCOME] == "success"


def test_monday_gives_a_partial_answer_and_stops_before_the_renewal(claude, spans):
    with pytest.raises(tacho.RunStopped) as stopped:
        monday.play(claude, monday.job())
    assert "which company signs" in stopped.value.needs

    refusals = [
        (span.attributes[names.GEN_AI_TOOL_NAME], span.attributes[names.TOOL_REFUSAL])
        for span in spans.where(layer="tool")
        if names.TOOL_REFUSAL in span.attributes
    ]
    assert refusals == [("read_usage", "unknown"), ("renew_contract", "out_of_scope")]
    events = [span.attributes[names.BREAKER_EVENT] for span in spans.where(layer="breaker")]
    assert events == ["opened", "refused"]
    assert len(spans.where(name="execute_tool read_tickets")) == 2
    stand_ins = [span.attributes[names.FALLBACK_TO] for span in spans.where(layer="fallback")]
    assert stand_ins == ["Friday's export", "last week's digest"]
    handed = spans.one(layer="handoff").input
    assert handed["summary"].startswith("Partial answer.")
    assert len(handed["caveats"]) == 3
    assert run_span(spans).attributes[names.RUN_OUTCOME] == "stopped"


def test_crash_charges_every_invoice_once_in_one_run(claude, collector, tmp_path):
    month = crash.job()
    # A home of its own: what other tests left behind is not sent here.
    at = {"TACHO_ENDPOINT": collector.url, "TACHO_HOME": str(tmp_path / "home")}
    told = Claude(claude.model, claude.options, environment=at)
    assert crash.play(told, month, tmp_path) == "20 invoices charged, each once"

    charged = (tmp_path / "ledger").read_text().split()
    assert charged == [f"billing-2026-11/INV-{number:02d}" for number in range(1, 21)]
    attempts = {s.attributes.get(names.RESUMED) for s in collector.spans if s.attributes[names.LAYER] == "run"}  # fmt: skip
    assert attempts == {None, True}
    assert {span.attributes[names.RUN_ID] for span in collector.spans} == {month.run_id}
    assert len(collector.final("execute_tool charge")) == 20
    asked = collector.final("execute_tool was_charged")
    assert [span.attributes[names.GEN_AI_TOOL_CALL_RESULT] for span in asked] == ["true"]
    outcomes = [
        s.attributes.get(names.RUN_OUTCOME) for s in collector.final("invoke_agent billing-run")
    ]
    assert outcomes == ["success"]


def test_a_model_that_is_overloaded_for_a_moment_does_not_change_the_outcome(server, claude, spans):
    server.fail_next(OVERLOADED, times=2)
    planner.play(claude, planner.job())
    assert len(spans.where(layer="retry")) == 2
    assert run_span(spans).attributes[names.RUN_OUTCOME] == "success"


def test_run_all_runs_every_story_and_together_they_show_every_layer(
    monkeypatch, spans, collector, tmp_path
):
    # A home of its own: what other programs left behind is not sent here.
    monkeypatch.setenv("TACHO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setattr(tacho, "init", lambda **_: None)
    results = demo.run_all(endpoint=collector.url, seconds_per_token=0.0)
    assert [(result.agent, result.outcome) for result in results] == [
        ("support", "success"),
        ("planner", "success"),
        ("contract", "success"),
        ("monday", "stopped"),
        ("crash", "success"),
        ("loop", "stopped"),
        # Nobody can be asked here.
        ("payout", "success"),
    ]
    # The billing run works in processes of its own: what they recorded came to the collector.
    away = {span.attributes[names.RUN_ID] for span in collector.final()}
    recorded = {span.run_id for span in spans.where(layer="run")}
    assert recorded | away == {result.run_id for result in results}
    layers = {span.layer for span in spans} | {s.attributes[names.LAYER] for s in collector.final()}
    assert layers >= set(names.LAYERS) - {"other"}
    assert all(result.duration_ms > 0 for result in results)


def test_run_all_runs_only_what_is_asked_for_and_refuses_unknown_names(monkeypatch, spans):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setattr(tacho, "init", lambda **_: None)
    assert [r.agent for r in demo.run_all(only=["loop"], seconds_per_token=0.0)] == ["loop"]
    with pytest.raises(ValueError, match="support, planner, contract, monday, crash, loop, payout"):
        demo.run_all(only=["nobody"])
    assert all(str(agent) for agent in demo.AGENTS.values())


def test_connect_prefers_the_real_api_when_there_is_a_key(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    monkeypatch.setenv("TACHO_DEMO_MODEL", "claude-sonnet-4-5")
    with connect(seconds_per_token=0.0) as real:
        assert (real.bundled, real.options, real.model) == (False, {}, "claude-sonnet-4-5")
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.delenv("TACHO_DEMO_MODEL")
    with connect(seconds_per_token=0.0) as local:
        assert local.bundled
        assert local.options["base_url"].startswith("http://127.0.0.1:")
        assert local.model == "claude-haiku-4-5"
