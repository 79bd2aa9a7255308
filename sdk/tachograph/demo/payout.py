"""An agent that people steer: it is paused and let go on, and its payment waits in the inbox until somebody decides.

The pause and its end are a scripted operator's. The approval is nobody's: the run stops instead of waiting, the request
stays on the page *Approvals*, and whoever answers it can take the run up again:
``python -m tachograph.demo.payout RUN_ID``.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tachograph as tacho
from tachograph._control import line
from tachograph.demo.stage import Claude, Job
from tachograph_schemas.control import ORDERS

AGENT = "payout"
OPERATOR = "Mara Lindqvist (scripted)"
PAUSE_S = 1.2
SECONDS_PER_LOOK = 0.25
PATIENCE_S = 1.0
"""How long the run waits for a person before it stops and leaves the request behind."""
INBOX_S = 7 * 86_400.0
SUPPLIERS = (
    ("Baltic Freight OÜ", 1_180.0),
    ("Nordlys Packaging AS", 640.0),
    ("Harbour & Sons Ltd", 2_310.0),
)


def job() -> Job:
    """Friday's payments."""
    task = "Pay the suppliers whose invoices are due this week."
    return Job("payout-2026-w47", task, "Meridian Freight", "treasury@example.com", "payout-w47")


def play(_claude: Claude, week: Job) -> str:
    """Check what is due while an operator interferes, then ask for the payment.

    Raises:
        tachograph.RunStopped: nobody has decided yet.
    """
    with operator():
        return pay_suppliers(week, None)


@contextmanager
def operator() -> Iterator[None]:
    """Somebody who pauses the agent and lets it go on; without a collector that takes orders, nobody."""
    ending = threading.Event()
    thread = threading.Thread(target=_interfere, args=(ending,), name="demo-operator", daemon=True)
    if _order("", action="pause", reason="the bank's details are being checked"):
        thread.start()
    try:
        yield
    finally:
        ending.set()
        if thread.ident is not None:
            thread.join()


def _interfere(ending: threading.Event) -> None:
    ending.wait(PAUSE_S)
    _order("/end")


def _order(path: str, **more: str) -> bool:
    found = line()
    if found is None:
        return False
    body = {"scope": "agent", "target": AGENT, "actor": OPERATOR} | more
    return bool(found.client.call("POST", ORDERS + path, body, timeout_s=5))


@tacho.run(
    agent=AGENT,
    version="1.3.0",
    goal=lambda given: given["week"].task,
    customer=lambda given: given["week"].customer,
    user=lambda given: given["week"].user,
    session=lambda given: given["week"].session,
    trigger="schedule Fri 09:00",
    tags=["demo"],
    resume=tacho.arg("run_id"),
)
def pay_suppliers(week: Job, run_id: str | None) -> str:
    """What was paid."""
    week.run_id = tacho.current_run().id
    due = [look_up_invoice(name, usd) for name, usd in SUPPLIERS]
    total_usd = sum(each["usd"] for each in due)
    try:
        return pay("suppliers, week 47", total_usd)
    except tacho.Refused as refused:
        return f"Nothing was paid: {refused.reason}."


@tacho.tool(effect="read", risk="low", scope="invoices:read")
def look_up_invoice(supplier: str, usd: float) -> dict[str, Any]:
    """One invoice, from a slow ledger."""
    time.sleep(SECONDS_PER_LOOK)
    return {"supplier": supplier, "usd": usd, "due": "2026-11-20"}


@tacho.effect(
    risk="critical",
    scope="bank:pay",
    approval=tacho.ApprovalPolicy(timeout_s=INBOX_S, stop_after_s=PATIENCE_S),
)
def pay(to: str, usd: float) -> str:
    """Money leaves the bank, with the amount that a person left in the request."""
    return f"Paid {usd:,.2f} USD to {to}."


if __name__ == "__main__":
    tacho.init(service="tachograph-demo")
    try:
        print(pay_suppliers(job(), sys.argv[1] if len(sys.argv) > 1 else None))
    except tacho.RunStopped as stopped:
        print(stopped)
