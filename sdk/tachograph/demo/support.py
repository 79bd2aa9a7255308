"""A support agent that pays refunds: lookups in parallel, a gate, a repaired plan, a person, one payment."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import anthropic

import tachograph as tacho
from tachograph.demo.shop import Customer, Order, Receipt, Shop
from tachograph.demo.shop_rules import is_small, policy, shift_lead
from tachograph.demo.stage import Claude, Job, text_of, tool_call, tool_calls, tool_results
from tachograph.demo.support_prompts import PROPOSE, SYSTEM, TOOLS

ORDER_TIMEOUT_S = 0.3


def play(claude: Claude, ticket: Job, shop: Shop | None = None) -> str:
    """Handle ``ticket`` and return what the customer was told. Blocks until it is done."""

    async def handle() -> str:
        async with anthropic.AsyncAnthropic(**claude.options) as client:
            return await SupportAgent(client, claude.model, shop or Shop()).handle(ticket)

    return asyncio.run(handle())


class SupportAgent:
    """Settles one ticket. The model proposes; what may happen is decided here."""

    def __init__(self, client: anthropic.AsyncAnthropic, model: str, shop: Shop) -> None:
        self.client = client
        self.model = model
        self.shop = shop

    @tacho.run(
        agent="support-refund",
        version="2.3.0",
        goal=lambda given: f"Settle ticket {given['ticket'].id}: {given['ticket'].task}",
        customer=lambda given: given["ticket"].customer,
        user=lambda given: given["ticket"].user,
        session=lambda given: given["ticket"].session,
        trigger=lambda given: f"ticket {given['ticket'].id}",
        tags=["demo", "support", "refund"],
    )
    async def handle(self, ticket: Job) -> str:
        """Settle ``ticket``; returns the mail that the customer got."""
        ticket.run_id = tacho.current_run().id
        messages: list[Any] = [{"role": "user", "content": ticket.task}]
        with tacho.budget(model_calls=10, usd=0.25):
            customer, order = await self.look_up(messages)
            await self.settle(messages, ticket, order)
            text = text_of(await self.ask(messages, {"type": "none"}))
        self.send_mail(customer.email, text)
        return text

    async def ask(self, messages: list[Any], tool_choice: Any) -> anthropic.types.Message:
        """One answer of the model, added to ``messages``."""
        answer = await self.client.messages.create(
            model=self.model,
            max_tokens=1000,
            system=[{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}],
            tools=TOOLS,
            tool_choice=tool_choice,
            messages=messages,
        )
        messages.append({"role": "assistant", "content": answer.content})
        return answer

    async def look_up(self, messages: list[Any]) -> tuple[Customer, Order]:
        """Let the model choose its lookups, run them side by side, and insist on both records."""
        found: dict[type, Any] = {}
        for _ in range(3):
            answer = await self.ask(messages, {"type": "any"})
            calls = tool_calls(answer)
            if not calls:
                break
            records = await asyncio.gather(*map(self.run_lookup, calls))
            messages.append(tool_results(calls, records))
            found |= {type(record): record for record in records}
            if Customer in found and Order in found:
                return found[Customer], found[Order]
        return tacho.stop(
            "records missing",
            "customer or order was not found",
            kind="missing_data",
            needs="both records",
        )

    async def run_lookup(self, call: Any) -> Customer | Order | Exception:
        """Run one lookup that the model asked for; what goes wrong is for the model to read."""
        if call.name == "propose_refund":
            return PermissionError("read both records before you propose anything")
        try:
            if call.name == "lookup_customer":
                return await self.lookup_customer(**call.input, call_id=call.id)
            return await self.lookup_order(**call.input, call_id=call.id)
        except Exception as error:
            return error

    @tacho.tool(effect="read", risk="low", scope="crm:read", call_id=tacho.arg("call_id"))
    async def lookup_customer(self, customer_id: str, call_id: str) -> Customer:
        """The customer's record."""
        return await self.shop.customer(customer_id)

    @tacho.tool(effect="read", risk="low", scope="orders:read", call_id=tacho.arg("call_id"))
    async def lookup_order(self, order_id: str, call_id: str) -> Order:
        """The order; tried again once, because the order system is slow to wake up."""
        try:
            async with asyncio.timeout(ORDER_TIMEOUT_S):
                return await self.shop.order(order_id)
        except TimeoutError as error:
            tacho.retry_event("order system", attempt=1, error=error, wait_s=0.0)
        async with asyncio.timeout(ORDER_TIMEOUT_S):
            return await self.shop.order(order_id)

    async def settle(self, messages: list[Any], ticket: Job, order: Order) -> None:
        """Ask for a proposal until policy allows one, have a person agree, and pay."""
        with tacho.repair("refund plan", max_attempts=2) as plan:
            call = tool_call(await self.ask(messages, PROPOSE))
            while (refusal := policy(order, call.input)) and plan.attempt(refusal):
                messages.append(tool_results([call], [PermissionError(refusal)]))
                call = tool_call(await self.ask(messages, PROPOSE))
            if refusal:
                tacho.stop(
                    "no acceptable plan", refusal, kind="policy", needs="an amount within policy"
                )
        outcome = await self.pay(ticket, order, float(call.input["amount_usd"]))
        messages.append(tool_results([call], [outcome]))

    async def pay(self, ticket: Job, order: Order, amount_usd: float) -> dict[str, Any]:
        """Move the money, after a person has agreed to an amount that is not small."""
        case = {"ticket": ticket.id, "order": asdict(order), "amount_usd": amount_usd}
        if not is_small(case):
            request = f"refund {amount_usd:.2f} USD for {order.id}"
            decision = await tacho.approve_async(request, context=case, approver=shift_lead)
            if not decision:
                return {"status": "refused", "by": decision.approver, "reason": decision.reason}
        receipt = self.refund(order.id, amount_usd, f"{ticket.id}/{order.id}")
        return {"status": "refunded", **asdict(receipt)}

    @tacho.effect(risk="high", scope="billing:refund")
    def refund(self, order_id: str, amount_usd: float, key: str) -> Receipt:
        """Money leaves the till; the key makes a second call harmless."""
        return self.shop.refund(order_id, amount_usd, key)

    @tacho.effect(risk="low", scope="mail:send")
    def send_mail(self, to: str, text: str) -> None:
        """Tell the customer."""
        self.shop.outbox.append((to, text))
