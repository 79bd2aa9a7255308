"""Monday morning: every source is a little broken. A partial answer with caveats, and a stop before the renewal."""

from __future__ import annotations

from typing import Any

import anthropic
from anthropic.types import ToolParam

import tachograph as tacho
from tachograph.demo.stage import Claude, Job, text_of, tool_calls, tool_results

MAX_TURNS = 6

SYSTEM = """\
You prepare contract renewals for account managers. Read the account, its support tickets and its invoices, then
renew the contract if nothing speaks against it. When a source is missing or odd, go on with what there is, and in
your summary say plainly what is missing, what contradicts what, and how far your answer can be trusted."""


def _tool(name: str, description: str) -> ToolParam:
    schema = {"type": "object", "properties": {"account": {"type": "string"}}}
    return {
        "name": name,
        "description": description,
        "input_schema": {**schema, "required": ["account"]},
    }


TOOLS = [
    _tool("read_account", "The account in the CRM: owner, contract, contact."),
    _tool("read_tickets", "Support tickets of the last 90 days."),
    _tool("read_invoices", "Invoices of the last year and who they are made out to."),
]
EXPORT = {"name": "Fjordlys AS", "contract": "C-2291", "ends": "2026-12-31", "as_of": "Friday"}
"""The account in the export that the CRM writes every Friday."""
DIGEST = {"tickets": 11, "open": 2, "as_of": "last Monday"}


class Breaker:
    """Opens after two failures in a row; the morning is too short for it to close again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.failures = 0

    @property
    def is_open(self) -> bool:
        """Whether calls are refused."""
        return self.failures >= 2

    def failed(self, error: Exception) -> None:
        """Count a failure."""
        self.failures += 1
        if self.is_open:
            tacho.breaker_event(self.name, "closed", "open", f"2 failures in a row, last: {error}")


def job() -> Job:
    """The renewal on the desk."""
    task = (
        "Prepare the renewal of Fjordlys for Thursday, and renew it if nothing speaks against it."
    )
    return Job("REN-2291", task, "Fjordlys AS", "ines.moen@example.com", "renewals-week-47")


def play(claude: Claude, renewal: Job) -> str:
    """Prepare ``renewal``.

    Raises:
        tachograph.RunStopped: always: the records contradict each other, so a person takes over.
    """
    with anthropic.Anthropic(**claude.options) as client:
        return RenewalDesk(client, claude.model).prepare(renewal)


class RenewalDesk:
    """Reads three systems, and knows what to do when each of them misbehaves."""

    def __init__(self, client: anthropic.Anthropic, model: str) -> None:
        self.client = client
        self.model = model
        self.support = Breaker("support API")
        self.caveats: list[str] = []

    @tacho.run(
        agent="renewal-desk",
        version="0.8.1",
        goal=lambda given: given["renewal"].task,
        customer=lambda given: given["renewal"].customer,
        user=lambda given: given["renewal"].user,
        session=lambda given: given["renewal"].session,
        trigger="schedule Monday 07:30",
        tags=["demo", "renewal"],
    )
    def prepare(self, renewal: Job) -> str:
        """Read what can be read, say what is missing, and hand over."""
        renewal.run_id = tacho.current_run().id
        messages: list[Any] = [{"role": "user", "content": renewal.task}]
        for _ in range(MAX_TURNS):
            answer = self.client.messages.create(
                model=self.model, max_tokens=700, system=SYSTEM, tools=TOOLS, messages=messages
            )
            messages.append({"role": "assistant", "content": answer.content})
            calls = tool_calls(answer)
            if not calls:
                return self.hand_over(renewal, text_of(answer))
            messages.append(tool_results(calls, [self.carry_out(call) for call in calls]))
        return tacho.stop("turns used up", f"{MAX_TURNS} turns", needs="a look at the sources")

    def carry_out(self, call: Any) -> Any:
        """Run what the model asked for, as far as there is such a tool and this agent may use it."""
        known = {
            "read_account": self.account,
            "read_tickets": self.tickets,
            "read_invoices": self.invoices,
        }
        if call.name in known:
            return known[call.name](str(call.input.get("account", "")), call.id)
        exists = call.name == "renew_contract"
        reason = "only account managers may renew" if exists else "there is no such tool"
        tacho.tool_refused(
            call.name,
            why="out_of_scope" if exists else "unknown",
            arguments=dict(call.input),
            offered=[str(tool["name"]) for tool in TOOLS],
            scope="contracts:renew" if exists else None,
            call_id=call.id,
            reason=reason,
        )
        return PermissionError(reason)

    def account(self, account: str, call_id: str) -> dict[str, Any]:
        """The account; the export's when the CRM answers in a shape that nobody knows."""
        answer = self.read_account(account, call_id)
        known = "contract" in answer
        if tacho.validate("CRM answers as agreed", known, field="contract", value=answer,
                          message="the field is gone; there is a list named engagements"):  # fmt: skip
            return answer
        self.caveats.append("the account is as of Friday")
        tacho.fallback_event(
            "CRM",
            "Friday's export",
            "its answer has another shape since the weekend",
            reduced="changes since Friday are not in it",
            told="the account is as of Friday",
        )
        return EXPORT

    @tacho.tool(
        name="read_account",
        effect="read",
        risk="low",
        scope="crm:read",
        call_id=tacho.arg("call_id"),
    )
    def read_account(self, account: str, call_id: str) -> dict[str, Any]:
        """What the CRM answers since its update of last weekend."""
        return {"acct": {"display": account}, "engagements": [{"ref": "C-2291"}]}

    def tickets(self, account: str, call_id: str) -> dict[str, Any]:
        """The tickets; last week's digest while the support API does not answer."""
        for attempt in (1, 2, 3):
            if self.support.is_open:
                tacho.breaker_refused(self.support.name, "read_tickets")
                break
            try:
                return self.read_tickets(account, call_id)
            except TimeoutError as error:
                self.support.failed(error)
                tacho.retry_event("read_tickets", attempt, error, wait_s=0.0)
        self.caveats.append("tickets are a week old")
        tacho.fallback_event(
            "support API",
            "last week's digest",
            "it does not answer",
            reduced="counts only, no texts, a week old",
            told="tickets are a week old",
        )
        return DIGEST

    @tacho.tool(
        name="read_tickets",
        effect="read",
        risk="low",
        scope="support:read",
        call_id=tacho.arg("call_id"),
    )
    def read_tickets(self, account: str, call_id: str) -> dict[str, Any]:
        """The support API, as it is on a Monday."""
        raise TimeoutError("no answer from the support API in 5 s")

    @tacho.tool(
        name="read_invoices",
        effect="read",
        risk="low",
        scope="billing:read",
        call_id=tacho.arg("call_id"),
    )
    def read_invoices(self, account: str, call_id: str) -> dict[str, Any]:
        """Billing knows the customer by another name."""
        return {"made_out_to": "Fjord Lys Holding ASA", "open_usd": 18_400, "invoices": 12}

    def invoices(self, account: str, call_id: str) -> dict[str, Any]:
        """The invoices, and whether they are this customer's at all."""
        found = self.read_invoices(account, call_id)
        same = found["made_out_to"] == EXPORT["name"]
        if not tacho.validate("names agree", same, kind="consistency", field="made_out_to",
                              value={"CRM": EXPORT["name"], "billing": found["made_out_to"]},
                              message="CRM and billing know the customer by different names"):  # fmt: skip
            self.caveats.append("billing has another name for this customer")
        return found

    def hand_over(self, renewal: Job, summary: str) -> str:
        """The partial answer goes to a person: with sources that contradict each other nothing is renewed."""
        tacho.gate(
            "renew only on agreeing records",
            verdict="deny",
            proposal={"contract": EXPORT["contract"], "months": 12},
            reason="CRM and billing do not agree on who the customer is",
            risk="critical",
        )
        tacho.handoff(
            "Ines Moen, account manager",
            reason="the records contradict each other",
            payload={"summary": summary, "caveats": self.caveats},
        )
        return tacho.stop(
            "conflicting records",
            "CRM says Fjordlys AS, billing Fjord Lys Holding ASA",
            kind="conflicting_records",
            needs="which company signs, and today's tickets",
        )
