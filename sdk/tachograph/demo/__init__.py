"""Seven small agents that show what a recording looks like; together they use every layer of the harness.

They are real: they run through the official Anthropic client, against the real API when
``ANTHROPIC_API_KEY`` is set, and against a model server bundled with this package otherwise. Read
:mod:`~tachograph.demo.support`, :mod:`~tachograph.demo.planner`, :mod:`~tachograph.demo.contract`,
:mod:`~tachograph.demo.monday`, :mod:`~tachograph.demo.crash`, :mod:`~tachograph.demo.loop` and
:mod:`~tachograph.demo.payout` as the tutorial.
``tacho demo`` runs them through :func:`run_all`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tachograph.demo.stage import Claude, Job

SERVICE = "tachograph-demo"


@dataclass(frozen=True, slots=True)
class DemoAgent:
    """One agent of the demo."""

    name: str
    description: str
    load: Callable[[], tuple[Job, Callable[[Claude, Any], str]]]
    """Imports the agent; returns a fresh job and the function that does it."""

    def __str__(self) -> str:
        return self.description


@dataclass(frozen=True, slots=True)
class DemoResult:
    """How one agent's run went."""

    agent: str
    run_id: str
    """Empty when nothing was recorded (``TACHO_DISABLED=1``)."""
    outcome: Literal["success", "stopped", "failure"]
    output: str
    """What the agent returned, or why it did not."""
    duration_ms: float


def _support() -> tuple[Job, Callable[[Claude, Any], str]]:
    from tachograph.demo import shop, support

    return shop.job(), support.play


def _planner() -> tuple[Job, Callable[[Claude, Any], str]]:
    from tachograph.demo import planner

    return planner.job(), planner.play


def _contract() -> tuple[Job, Callable[[Claude, Any], str]]:
    from tachograph.demo import contract

    return contract.job(), contract.play


def _monday() -> tuple[Job, Callable[[Claude, Any], str]]:
    from tachograph.demo import monday

    return monday.job(), monday.play


def _crash() -> tuple[Job, Callable[[Claude, Any], str]]:
    from tachograph.demo import crash

    return crash.job(), crash.play


def _loop() -> tuple[Job, Callable[[Claude, Any], str]]:
    from tachograph.demo import loop

    return loop.job(), loop.play


def _payout() -> tuple[Job, Callable[[Claude, Any], str]]:
    from tachograph.demo import payout

    return payout.job(), payout.play


AGENTS: Mapping[str, DemoAgent] = {
    agent.name: agent
    for agent in (
        DemoAgent(
            "support",
            "settles a refund: a lookup times out, a gate denies, a person approves, money moves once",
            _support,
        ),
        DemoAgent(
            "planner",
            "plans and writes an incident report; an independent evaluator sends a draft back",
            _planner,
        ),
        DemoAgent(
            "contract",
            "reads a contract: an injected line is taken out, an amount given as text is refused and repaired",
            _contract,
        ),
        DemoAgent(
            "monday",
            "prepares a renewal with every source broken: breaker, stand-ins, caveats, a stop and a handover",
            _monday,
        ),
        DemoAgent(
            "crash",
            "bills twenty invoices, is killed after the fourteenth charge and taken up: one run, none charged twice",
            _crash,
        ),
        DemoAgent(
            "loop",
            "apologises and tries again at night until the run's budget stops it",
            _loop,
        ),
        DemoAgent(
            "payout",
            "is paused by an operator and let go on; its payment waits in the inbox for somebody to decide",
            _payout,
        ),
    )
}
"""The agents by name, in the order in which they run."""


def run_all(
    endpoint: str | None = None,
    only: Iterable[str] | None = None,
    *,
    api_key: str | None = None,
    seconds_per_token: float = 0.002,
) -> list[DemoResult]:
    """Run the demo agents one after the other, recorded, and wait until the records are delivered.

    Args:
        endpoint: The collector's base URL; default: from the settings.
        only: Names of :data:`AGENTS`; default: all.
        api_key: The collector's key.
        seconds_per_token: Pace of the bundled model, seconds.

    Returns:
        One result for each agent. An agent that fails is a result, not an exception.

    Raises:
        ValueError: ``only`` names an agent that there is not.
        ImportError: the Anthropic client is not installed.
    """
    chosen = list(AGENTS) if only is None else list(only)
    unknown = [name for name in chosen if name not in AGENTS]
    if unknown:
        raise ValueError(f"no demo agent is called {unknown[0]!r}; there are {', '.join(AGENTS)}")

    import tachograph as tacho

    tacho.init(service=SERVICE, endpoint=endpoint, api_key=api_key, record="exact")
    tacho.instrument("anthropic")
    from tachograph.demo.stage import connect

    given = {"TACHO_ENDPOINT": endpoint, "TACHO_API_KEY": api_key}
    environment = {key: value for key, value in given.items() if value}
    with connect(seconds_per_token=seconds_per_token, environment=environment) as claude:
        results = [_run_one(AGENTS[name], claude) for name in chosen]
    tacho.flush(timeout_s=5)
    return results


def _run_one(agent: DemoAgent, claude: Claude) -> DemoResult:
    from tachograph import RunStopped

    job, play = agent.load()
    started_s = time.perf_counter()
    outcome: Literal["success", "stopped", "failure"] = "success"
    try:
        output = play(claude, job)
    except RunStopped as stopped:
        outcome, output = "stopped", str(stopped)
    except Exception as error:
        outcome, output = "failure", f"{type(error).__name__}: {error}"
    duration_ms = (time.perf_counter() - started_s) * 1_000
    return DemoResult(agent.name, job.run_id, outcome, output, round(duration_ms, 1))


__all__ = ["AGENTS", "SERVICE", "DemoAgent", "DemoResult", "run_all"]
