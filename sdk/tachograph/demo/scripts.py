"""What the bundled model says to the demo agents. Each script reads the conversation and answers it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from tachograph.demo.conversation import Block, Conversation, Fault, Text, ToolCall

_FIGURE = re.compile(r"\d[\d,:]*")
_AMOUNT = re.compile(r"at most (\d+(?:\.\d+)?) USD")


class SupportScript:
    """Looks both records up, proposes all of the price, then what it is told is possible."""

    def answers(self, conversation: Conversation) -> bool:
        """The support agent is the one that proposes refunds."""
        return "propose_refund" in conversation.tools

    def reply(self, conversation: Conversation) -> Sequence[Block] | Fault:
        """The next step of the ticket."""
        orders = conversation.results_of("lookup_order")
        customers = conversation.results_of("lookup_customer")
        if not orders or not customers:
            return self._look_up(conversation.first_text)
        if orders[-1].is_error or customers[-1].is_error:
            return [Text("I could not read your records today; a colleague will write to you.")]
        order, customer = json.loads(orders[-1].content), json.loads(customers[-1].content)
        proposals = conversation.results_of("propose_refund")
        if not proposals:
            return [
                self._propose(order, order["paid_usd"], "The grinder jams; full refund asked for.")
            ]
        if proposals[-1].is_error:
            limit = _AMOUNT.search(proposals[-1].content)
            amount_usd = float(limit.group(1)) if limit else round(order["paid_usd"] * 0.25, 2)
            reason = (
                "Defect after more than thirty days of use; share of the price within the rules."
            )
            return [self._propose(order, amount_usd, reason)]
        return [Text(self._mail(order, customer, json.loads(proposals[-1].content)))]

    def _look_up(self, task: str) -> list[Block]:
        customer = re.search(r"\bC-\d+", task)
        order = re.search(r"\bO-\d+", task)
        return [
            Text("I will read the customer's record and the order first."),
            ToolCall("lookup_customer", {"customer_id": customer.group() if customer else ""}),
            ToolCall("lookup_order", {"order_id": order.group() if order else ""}),
        ]

    def _propose(self, order: dict[str, Any], amount_usd: float, reason: str) -> ToolCall:
        return ToolCall(
            "propose_refund", {"order_id": order["id"], "amount_usd": amount_usd, "reason": reason}
        )

    def _mail(
        self, order: dict[str, Any], customer: dict[str, Any], settled: dict[str, Any]
    ) -> str:
        first_name = customer["name"].split()[0]
        if settled["status"] != "refunded":
            return (
                f"Hi {first_name},\n\nI am sorry that the {order['item']} gives you trouble. We cannot "
                "refund it, but we would like to repair it for you free of charge: reply to this mail "
                "and we send you a label.\n\nRiverside Coffee Gear"
            )
        return (
            f"Hi {first_name},\n\nI am sorry about your {order['item']}. We have refunded "
            f"{settled['amount_usd']:.2f} USD to the card you paid with; it arrives within three to five "
            "working days. As the grinder was in use for more than a month, this is a share of its price."
            "\n\nRiverside Coffee Gear"
        )


class PlannerScript:
    """Groups the facts in their order, two to a section."""

    TITLES = ("What happened", "Who was affected", "What we changed", "What comes next")

    def answers(self, conversation: Conversation) -> bool:
        """The planner is the one that submits plans."""
        return "submit_plan" in conversation.tools

    def reply(self, conversation: Conversation) -> Sequence[Block] | Fault:
        """The plan."""
        facts = json.loads(conversation.first_text)["facts"]
        pairs = [facts[start : start + 2] for start in range(0, len(facts), 2)]
        sections = [
            {"title": title, "facts": pair} for title, pair in zip(self.TITLES, pairs, strict=False)
        ]
        return [ToolCall("submit_plan", {"sections": sections})]


class WriterScript:
    """Writes the facts down; a first draft shies away from large figures, a second has them all."""

    def answers(self, conversation: Conversation) -> bool:
        """The writer is known by its role."""
        return conversation.system.startswith("You are the writer.")

    def reply(self, conversation: Conversation) -> Sequence[Block] | Fault:
        """A draft of the section."""
        section = json.loads(conversation.first_text)
        text = " ".join(section["facts"])
        if not section["feedback"]:
            text = re.sub(r"\b\d{1,3},\d{3} orders", "Some orders", text)
        return [Text(text)]


class EvaluatorScript:
    """Compares the figures and times of the facts with those of the draft."""

    def answers(self, conversation: Conversation) -> bool:
        """The evaluator is the one that submits verdicts."""
        return "submit_verdict" in conversation.tools

    def reply(self, conversation: Conversation) -> Sequence[Block] | Fault:
        """The verdict."""
        case = json.loads(conversation.first_text)
        told = set(_FIGURE.findall(case["draft"]))
        missing = [
            f"{figure} (from: {fact})"
            for fact in case["facts"]
            for figure in _FIGURE.findall(fact)
            if figure not in told
        ]
        feedback = f"The draft does not state {'; '.join(missing)}." if missing else ""
        return [ToolCall("submit_verdict", {"passed": not missing, "feedback": feedback})]


class ExportScript:
    """Apologises, changes a setting that does not matter, and tries again. It never gives up."""

    FORMATS = ("csv", "xlsx", "parquet")

    def answers(self, conversation: Conversation) -> bool:
        """The nightly export is the one that exports ledgers."""
        return "export_ledger" in conversation.tools

    def reply(self, conversation: Conversation) -> Sequence[Block] | Fault:
        """One more try, as long as it fails."""
        tries = conversation.results_of("export_ledger")
        if tries and not tries[-1].is_error:
            return [Text(f"The export is done: {tries[-1].content}.")]
        month = re.search(r"\d{4}-\d{2}", conversation.first_text)
        settings = {
            "month": month.group() if month else "",
            "format": self.FORMATS[len(tries) % len(self.FORMATS)],
            "batch_rows": max(1_000, 50_000 >> len(tries)),
        }
        call = ToolCall("export_ledger", settings)
        if not tries:
            return [call]
        apology = (
            f"I apologise, that did not work. I will try {settings['format']} with batches of "
            f"{settings['batch_rows']} rows."
        )
        return [Text(apology), call]


class ContractScript:
    """Reads the figures out of the clauses; writes the cap as it stands on paper until it is told not to."""

    def answers(self, conversation: Conversation) -> bool:
        """The reviewer is the one that submits risks."""
        return "submit_risks" in conversation.tools

    def reply(self, conversation: Conversation) -> Sequence[Block] | Fault:
        """The risks, typed better at the second try."""
        text = " ".join(json.loads(conversation.first_text)["clauses"])
        cap = re.search(r"USD ([\d,]+)", text)
        days = re.search(r"\((\d+)\) days", text)
        rise = re.search(r"rise by (\d+) %", text)
        amount = cap.group(1) if cap else "0"
        refused = any(result.is_error for result in conversation.results_of("submit_risks"))
        answer = {
            "damage_cap": int(amount.replace(",", "")) if refused else f"${amount}",
            "notice_days": int(days.group(1)) if days else 0,
            "price_rise_percent": int(rise.group(1)) if rise else 0,
            "risks": [
                "The supplier's liability is capped below the fees of one year.",
                "It renews by itself, with ninety days' notice and a price rise above the standard.",
            ],
        }
        return [ToolCall("submit_risks", answer)]


class RenewalScript:
    """Reads everything at once, asks for what it may not do, then sums up with caveats."""

    def answers(self, conversation: Conversation) -> bool:
        """The renewal desk is the one that reads support tickets."""
        return "read_tickets" in conversation.tools

    def reply(self, conversation: Conversation) -> Sequence[Block] | Fault:
        """The next step of the morning."""
        account = {"account": "Fjordlys AS"}
        if conversation.turns == 0:
            reads = [ToolCall(name, account) for name in conversation.tools]
            return [Text("I will read all three sources."), *reads]
        if conversation.turns == 1:
            return [
                Text("Usage would show whether they still need it; then I can renew."),
                ToolCall("read_usage", account),
                ToolCall("renew_contract", {"contract": "C-2291", "months": 12}),
            ]
        return [
            Text(
                "Partial answer. Contract C-2291 ends on 2026-12-31 (as of Friday). Support: 11 tickets, 2 open "
                "(as of last Monday; today's are missing). Billing: 18,400 USD open, made out to Fjord Lys Holding "
                "ASA, which is not the name in the CRM. I could not see usage and have not renewed anything."
            )
        ]


class BillingScript:
    """Puts invoices into the order of their numbers."""

    def answers(self, conversation: Conversation) -> bool:
        """The billing run is the one that submits an order."""
        return "submit_order" in conversation.tools

    def reply(self, conversation: Conversation) -> Sequence[Block] | Fault:
        """The order."""
        invoices = json.loads(conversation.first_text)["invoices"]
        return [ToolCall("submit_order", {"order": sorted(invoices)})]


SCRIPTS = (
    SupportScript(),
    PlannerScript(),
    WriterScript(),
    EvaluatorScript(),
    ExportScript(),
    ContractScript(),
    RenewalScript(),
    BillingScript(),
)
"""In the order in which they are asked."""
