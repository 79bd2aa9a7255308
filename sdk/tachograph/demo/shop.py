"""The world of the support agent: a small shop of coffee gear with its records, its till and its mail."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tachograph.demo.stage import Job

WEAR_AFTER_DAYS = 30
WEAR_SHARE = 0.4
"""Of the price: the most that is refunded once an order was in use longer than WEAR_AFTER_DAYS."""


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer's record."""

    id: str
    name: str
    email: str
    since: int
    orders: int


@dataclass(frozen=True, slots=True)
class Order:
    """An order as the warehouse knows it."""

    id: str
    customer_id: str
    item: str
    paid_usd: float
    delivered_days_ago: int

    @property
    def refundable_usd(self) -> float:
        """The most that policy allows to pay back."""
        worn = self.delivered_days_ago > WEAR_AFTER_DAYS
        return round(self.paid_usd * (WEAR_SHARE if worn else 1.0), 2)


CUSTOMERS = {
    customer.id: customer
    for customer in (
        Customer("C-1187", "Tomás Ferreira", "tomas.ferreira@example.com", 2019, 14),
        Customer("C-2041", "Ingrid Halvorsen", "ingrid.halvorsen@example.com", 2021, 5),
        Customer("C-3310", "Priya Raman", "priya.raman@example.com", 2024, 1),
    )
}
ORDERS = {
    order.id: order
    for order in (
        Order("O-57730", "C-1187", "Filter papers, 12 packs", 54.00, 9),
        Order("O-58213", "C-2041", "Conical burr grinder K6", 289.00, 41),
        Order("O-58440", "C-3310", "Gooseneck kettle 0.9 l", 119.00, 3),
    )
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that money moved."""

    id: str
    order_id: str
    amount_usd: float


@dataclass(slots=True)
class Shop:
    """The shop's systems. Nothing outside this object changes when an agent acts on it."""

    stalled_order_calls: int = 1
    """How many calls of the order system hang before it answers, as after its nightly restart."""
    receipts: dict[str, Receipt] = field(default_factory=dict)
    """Refunds by idempotency key."""
    outbox: list[tuple[str, str]] = field(default_factory=list)
    """Mails sent: address and text."""

    async def customer(self, customer_id: str) -> Customer:
        """A customer by id; ``LookupError`` when there is none."""
        await asyncio.sleep(0)
        return CUSTOMERS[customer_id]

    async def order(self, order_id: str) -> Order:
        """An order by id; ``LookupError`` when there is none. Hangs while the system is stalled."""
        if self.stalled_order_calls > 0:
            self.stalled_order_calls -= 1
            await asyncio.Event().wait()
        return ORDERS[order_id]

    def refund(self, order_id: str, amount_usd: float, key: str) -> Receipt:
        """Pay money back. The same key pays once and gives the first receipt again."""
        if key in self.receipts:
            return self.receipts[key]
        paid_back = sum(r.amount_usd for r in self.receipts.values() if r.order_id == order_id)
        if paid_back + amount_usd > ORDERS[order_id].paid_usd:
            raise ValueError(f"{order_id}: {paid_back + amount_usd:.2f} USD is more than was paid")
        receipt = Receipt(f"R-{7001 + len(self.receipts)}", order_id, amount_usd)
        self.receipts[key] = receipt
        return receipt


def job() -> Job:
    """The ticket on the desk."""
    task = (
        "Customer C-2041 writes about order O-58213: the grinder jams on light roasts since last week, "
        "and she wants her money back. Settle it."
    )
    return Job("T-90412", task, "Halvorsen Kaffebar", "ingrid.halvorsen@example.com", "mail-2041-7")
