"""What users may import, and what importing costs."""

from __future__ import annotations

import tachograph as tacho

EXPORTED = [
    "ApprovalPolicy",
    "Budget",
    "BudgetExceeded",
    "Continued",
    "Decision",
    "Refused",
    "Repair",
    "Run",
    "RunStopped",
    "TachographError",
    "Verdict",
    "agent",
    "approve",
    "approve_async",
    "arg",
    "breaker_event",
    "breaker_refused",
    "budget",
    "cache_hit",
    "cached",
    "checkpoint",
    "context",
    "context_chosen",
    "context_headers",
    "continue_from",
    "cost",
    "current_run",
    "degraded",
    "effect",
    "evaluate",
    "fallback_event",
    "flush",
    "gate",
    "handoff",
    "init",
    "instrument",
    "masked",
    "memory",
    "model",
    "normalize",
    "normalized",
    "on_degrade",
    "repair",
    "retrieval",
    "retry_event",
    "run",
    "shutdown",
    "step",
    "stop",
    "tool",
    "tool_refused",
    "uninstrument",
    "validate",
    "wrap",
]


def test_exported_names_are_frozen():
    """A new public name is a decision: change this list together with the documentation."""
    assert tacho.__all__ == EXPORTED == sorted(EXPORTED)
    assert all(hasattr(tacho, name) for name in EXPORTED)


def test_import_loads_only_the_opentelemetry_api(run_script):
    """Importing stays cheap: the OpenTelemetry SDK, protobuf, asyncio and every extra wait for init."""
    heavy = "opentelemetry.sdk google.protobuf requests pydantic chdb clickhouse_connect anthropic"
    heavy += " asyncio ssl"
    found = run_script(
        f"import sys, tachograph\nprint([name for name in {heavy.split()} if name in sys.modules])"
    )
    assert found.stdout.strip() == "[]"


def test_without_init_functions_run_untouched_and_nothing_is_recorded(run_script):
    """Library code may be decorated: an application that never calls init pays and sees nothing."""
    found = run_script(
        "import sys, tachograph as tacho\n"
        "@tacho.run\n"
        "def work(task):\n"
        "    tacho.gate('limit', allow=True)\n"
        "    tacho.current_run().tag('x')\n"
        "    return task.upper(), tacho.current_run().id, bool(tacho.current_run())\n"
        "print(work('a'), tacho.flush(), tacho.shutdown(), 'opentelemetry.sdk' in sys.modules)"
    )
    assert found.stdout.strip() == "('A', '', False) True True False"
    assert found.stderr == ""


def test_disabled_by_environment_init_does_nothing(run_script):
    """TACHO_DISABLED=1 switches everything off, whatever the program asks for."""
    found = run_script(
        "import sys, tachograph as tacho\n"
        "tacho.init(endpoint='http://127.0.0.1:9')\n"
        "@tacho.tool\n"
        "def f(): return 1\n"
        "print(f(), 'opentelemetry.sdk' in sys.modules)",
        TACHO_DISABLED="1",
    )
    assert found.stdout.strip() == "1 False"
    assert found.stderr == ""
