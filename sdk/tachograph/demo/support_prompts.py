"""What the support agent tells the model: its role, the rules, and the tools it may ask for."""

from __future__ import annotations

from anthropic.types import ToolParam

SYSTEM = """\
You settle refund tickets for Riverside Coffee Gear, a shop for coffee makers with about forty employees.

How you work:
1. Read the customer's record and the order before anything else. Ask for both lookups at once; they do not
   depend on each other.
2. Propose one refund with propose_refund. The shop's rules are checked by the system, not by you: when a
   proposal is refused, read the reason, and propose what the rules allow. Never promise an amount that was
   not confirmed to you as refunded.
3. When the refund is settled, write the mail to the customer. It is sent as you write it, so write nothing
   else: no subject, no notes.

Rules of the shop, for your orientation:
- Goods that were used for more than thirty days lose value; the refund is a share of the price.
- Shipping is not refunded. Consumables such as filters and beans are refunded only when unopened.
- Larger refunds are decided by the shift lead. If the shift lead refuses, say so plainly and offer a repair.
- Money is refunded to the card that paid, within three to five working days.

Tone of the mail: friendly, short, concrete. Address the customer by first name. Name the item, the amount in
US dollars and when the money arrives. If the amount is less than the customer asked for, say why in one
sentence, without quoting rule numbers. Sign as "Riverside Coffee Gear".
"""

TOOLS: list[ToolParam] = [
    {
        "name": "lookup_customer",
        "description": "The customer's record: name, mail address, customer since, number of orders.",
        "input_schema": {
            "type": "object",
            "properties": {"customer_id": {"type": "string", "description": "For example C-1001"}},
            "required": ["customer_id"],
        },
    },
    {
        "name": "lookup_order",
        "description": "An order: item, amount paid in USD, days since delivery.",
        "input_schema": {
            "type": "object",
            "properties": {"order_id": {"type": "string", "description": "For example O-50001"}},
            "required": ["order_id"],
        },
    },
    {
        "name": "propose_refund",
        "description": "Propose to refund an amount for an order. The rules may refuse the proposal.",
        "input_schema": {
            "type": "object",
            "properties": {
                "order_id": {"type": "string"},
                "amount_usd": {"type": "number", "description": "More than 0"},
                "reason": {"type": "string", "description": "One sentence"},
            },
            "required": ["order_id", "amount_usd", "reason"],
        },
    },
]

PROPOSE = {"type": "tool", "name": "propose_refund", "disable_parallel_tool_use": True}
"""The choice of tool when a proposal is due."""
