"""An agent that apologises and tries again, at night, until its budget stops it."""

from __future__ import annotations

from typing import Any

import anthropic

import tachograph as tacho
from tachograph.demo.stage import Claude, Job, text_of, tool_calls, tool_results

BUDGET_USD = 0.01
MAX_MODEL_CALLS = 15
MAX_TURNS = 40

SYSTEM = """\
You run the nightly ledger export for Meridian Freight. Call export_ledger for the month you are asked for. When
an export fails, apologise in one sentence, say what you will try differently, and call export_ledger again with
other settings. The accountants need the file at seven, so do not give up and do not ask anybody: nobody is awake."""

EXPORT_LEDGER: Any = {
    "name": "export_ledger",
    "description": "Export the ledger of a month to the accountants' share.",
    "input_schema": {
        "type": "object",
        "properties": {
            "month": {"type": "string", "description": "For example 2026-01"},
            "format": {"type": "string", "enum": ["csv", "xlsx", "parquet"]},
            "batch_rows": {"type": "integer"},
        },
        "required": ["month", "format"],
    },
}


class ExportError(RuntimeError):
    """The ledger cannot be exported as it is."""


def job() -> Job:
    """The night's work."""
    task = "Export the ledger of 2026-10. It has to be on the accountants' share at seven."
    return Job(
        "export-2026-10", task, "Meridian Freight", "scheduler@example.com", "nightly-export"
    )


def play(claude: Claude, night: Job) -> str:
    """Export until it works or the budget is used up.

    Raises:
        tachograph.BudgetExceeded: the run was stopped. The file was not written.
    """
    with anthropic.Anthropic(**claude.options) as client:
        return NightlyExport(client, claude.model).export(night)


class NightlyExport:
    """A loop without a stop rule of its own: only the budget around it ends it."""

    def __init__(self, client: anthropic.Anthropic, model: str) -> None:
        self.client = client
        self.model = model
        self.alerts: list[tuple[str, str]] = []

    @tacho.run(
        agent="ledger-export",
        version="0.9.4",
        goal=lambda given: given["night"].task,
        customer=lambda given: given["night"].customer,
        user=lambda given: given["night"].user,
        session=lambda given: given["night"].session,
        trigger="schedule 02:00",
        tags=["demo", "nightly"],
    )
    def export(self, night: Job) -> str:
        """What the model says when it is done, should it ever be; somebody is told when it is not."""
        night.run_id = tacho.current_run().id
        try:
            with tacho.budget(usd=BUDGET_USD, model_calls=MAX_MODEL_CALLS):
                return self.keep_trying(night)
        except tacho.BudgetExceeded as exceeded:
            self.send_alert("finance on call", f"{night.id} was stopped: {exceeded}")
            raise

    def keep_trying(self, night: Job) -> str:
        """One try after the other."""
        messages: list[Any] = [{"role": "user", "content": night.task}]
        failures = 0
        for _ in range(MAX_TURNS):
            answer = self.client.messages.create(
                model=self.model,
                max_tokens=500,
                system=SYSTEM,
                tools=[EXPORT_LEDGER],
                messages=messages,
            )
            messages.append({"role": "assistant", "content": answer.content})
            calls = tool_calls(answer)
            if not calls:
                tacho.current_run().outcome("failure", "the model gave up; no file was written")
                return text_of(answer)
            results: list[Any] = []
            for call in calls:
                try:
                    results.append(self.export_ledger(**call.input))
                except (ExportError, TypeError) as error:
                    failures += 1
                    tacho.retry_event("export_ledger", failures, error)
                    results.append(error)
            messages.append(tool_results(calls, results))
        return tacho.stop(
            "turns used up", f"{failures} exports failed", needs="a look at the ledger"
        )

    @tacho.effect(risk="medium", scope="ledger:export")
    def export_ledger(self, month: str, format: str, batch_rows: int = 50_000) -> str:
        """Write the file. It cannot work: three amounts in the ledger are text."""
        amounts: list[Any] = [1204.5, 88.0, "n/a", 310.25, "n/a", "see invoice"]
        bad = [number for number, amount in enumerate(amounts) if not isinstance(amount, float)]
        if bad:
            raise ExportError(f"{month}.{format}: column amount is not numeric in rows {bad}")
        return f"{month}.{format}: {len(amounts)} rows in batches of {batch_rows}"

    @tacho.effect(risk="low", scope="alerts:send")
    def send_alert(self, to: str, text: str) -> None:
        """Wake somebody up."""
        self.alerts.append((to, text))
