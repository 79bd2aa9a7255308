"""The shop's rules for refunds, as gates, and the person who decides on the larger ones."""

from __future__ import annotations

import asyncio
from typing import Any

import tachograph as tacho
from tachograph.demo.shop import Order

APPROVAL_ABOVE_USD = 50.0
LEAD_LIMIT_USD = 150.0
READING_TIME_S = 0.4
"""As long as a person takes to read a case, shortened."""


def policy(order: Order, proposal: Any) -> str:
    """Why policy forbids ``proposal``; empty when it does not."""
    allowed = 0 < float(proposal.get("amount_usd", 0)) <= order.refundable_usd
    reason = ""
    if not allowed:
        reason = (
            f"{order.item} was delivered {order.delivered_days_ago} days ago: "
            f"at most {order.refundable_usd:.2f} USD may be refunded."
        )
    tacho.gate("refund within policy", allow=allowed, proposal=proposal, reason=reason, risk="high")
    return reason


def is_small(case: dict[str, Any]) -> bool:
    """Whether a refund needs no person; larger ones are escalated."""
    amount_usd = case["amount_usd"]
    if amount_usd <= APPROVAL_ABOVE_USD:
        return tacho.gate("small refunds only", allow=True, proposal=case, risk="medium").allowed
    reason = (
        f"{amount_usd:.2f} USD is more than {APPROVAL_ABOVE_USD:.2f} USD: the shift lead decides"
    )
    return tacho.gate(
        "small refunds only", verdict="escalate", proposal=case, reason=reason, risk="high"
    ).allowed


async def shift_lead(request: str, case: dict[str, Any]) -> tacho.Decision:
    """The approver, played by a script and named so: agrees to what is fair for used goods."""
    await asyncio.sleep(READING_TIME_S)
    approved = case["amount_usd"] <= LEAD_LIMIT_USD
    reason = "fair for worn burrs, good customer" if approved else "too much for used goods"
    return tacho.Decision(approved=approved, approver="Mara Lindqvist (scripted)", reason=reason)
