"""A billing run that is killed after a charge and taken up again: one run, and nobody is charged twice.

The agent works in a process of its own, so that the kill is a real one (SIGKILL). What it has done lies in a file; what
the payment provider has done lies with the provider, which knows every charge by its key.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import anthropic
from anthropic.types import ToolParam

import tachograph as tacho
from tachograph.demo.stage import Claude, Job, tool_call

INVOICES = 20
KILLED_AT = 14
"""The invoice after whose charge the first process dies."""

SYSTEM = """\
You plan the monthly billing. You get the open invoices; put them into the order in which they are charged, the oldest
first, and hand it in with submit_order. The system charges them; you do not."""

SUBMIT_ORDER: ToolParam = {
    "name": "submit_order",
    "description": "Hand in the order of the invoices.",
    "input_schema": {
        "type": "object",
        "properties": {"order": {"type": "array", "items": {"type": "string"}}},
        "required": ["order"],
    },
}


@dataclass(slots=True)
class Progress:
    """What the agent knows of its own work; written to disk after every invoice."""

    run_id: str = ""
    order: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    in_flight: str = ""

    @property
    def todo(self) -> list[str]:
        """What is neither done nor begun."""
        return [each for each in self.order if each not in self.done and each != self.in_flight]


class Provider:
    """The payment provider: charges by key, and knows for every key whether it was charged."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def charged(self) -> list[str]:
        """The keys of all charges that were made, in order."""
        return self.path.read_text(encoding="utf-8").split() if self.path.exists() else []

    def charge(self, key: str) -> None:
        """Take the money; on disk before it returns."""
        with self.path.open("a", encoding="utf-8") as ledger:
            ledger.write(f"{key}\n")
            ledger.flush()
            os.fsync(ledger.fileno())


def job() -> Job:
    """The month's billing."""
    task = f"Charge the {INVOICES} open invoices of November, each exactly once."
    return Job("billing-2026-11", task, "Lindenhof Energy", "scheduler@example.com", "billing")


def play(claude: Claude, month: Job, directory: Path | None = None) -> str:
    """Bill in a process that dies half way, then in a second one that takes the run up.

    Args:
        claude: The model.
        month: What to bill.
        directory: Where progress and charges are kept; default: a temporary one.

    Raises:
        RuntimeError: the second process failed.
    """
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="tachograph-billing-") as temporary:
            return play(claude, month, Path(temporary))
    given = json.dumps(
        {"claude": asdict(claude), "month": asdict(month), "directory": str(directory)}
    )
    words = [sys.executable, "-c", "from tachograph.demo import crash; crash.main()"]
    for attempt in (1, 2):
        ended = subprocess.run(
            words,
            input=given,
            env=os.environ | claude.environment,
            text=True,
            capture_output=True,
            check=False,
        )
        month.run_id = _load(directory).run_id
        if ended.returncode not in {0, -signal.SIGKILL} or (attempt == 2 and ended.returncode):
            raise RuntimeError(f"the billing process failed: {ended.stderr[-500:]}")
    return ended.stdout.strip()


class Billing:
    """Charges invoice by invoice, and remembers where it is."""

    def __init__(self, client: anthropic.Anthropic, model: str, directory: Path) -> None:
        self.client = client
        self.model = model
        self.directory = directory
        self.provider = Provider(directory / "ledger")
        self.progress = _load(directory)
        self.is_second = bool(self.progress.order)

    @tacho.run(
        agent="billing-run",
        version="3.0.2",
        goal=lambda given: given["month"].task,
        customer=lambda given: given["month"].customer,
        user=lambda given: given["month"].user,
        session=lambda given: given["month"].session,
        trigger="schedule 1st of the month",
        tags=["demo", "billing"],
        resume=tacho.arg("run_id"),
    )
    def bill(self, month: Job, run_id: str) -> str:
        """Charge what is left to charge."""
        if self.is_second:
            self.take_up()
        else:
            self.progress.run_id = tacho.current_run().id
            self.progress.order = self.plan()
            self.save("planned")
        for invoice in self.progress.todo:
            self.progress.in_flight = invoice
            self.save(f"before {invoice}")
            self.charge(invoice, key=f"{month.id}/{invoice}")
            self.die_once(invoice)
            self.settled(invoice)
        self.save("all charged")
        charged = self.list_charges()
        once = len(set(charged)) == len(charged) == INVOICES
        tacho.validate(
            "every invoice is charged once", once, kind="consistency", value=len(charged)
        )
        return f"{len(charged)} invoices charged, each once"

    def plan(self) -> list[str]:
        """The order in which the model wants them charged."""
        invoices = [f"INV-{number:02d}" for number in range(1, INVOICES + 1)]
        answer = self.client.messages.create(
            model=self.model,
            max_tokens=800,
            system=SYSTEM,
            tools=[SUBMIT_ORDER],
            tool_choice={"type": "tool", "name": "submit_order"},
            messages=[{"role": "user", "content": json.dumps({"invoices": invoices})}],
        )
        order = [str(each) for each in dict(tool_call(answer).input).get("order", [])]
        if not tacho.validate("plan names every invoice", sorted(order) == invoices, field="order"):
            return invoices
        return order

    def take_up(self) -> None:
        """Find out what became of the charge that was under way; only the provider knows."""
        progress = self.progress
        tacho.checkpoint(
            f"before {progress.in_flight}",
            done=progress.done,
            in_flight=[progress.in_flight],
            todo=progress.todo,
            action="restored",
        )
        if progress.in_flight and self.was_charged(progress.in_flight):
            self.settled(progress.in_flight)
        progress.in_flight = ""

    @tacho.tool(effect="read", risk="low", scope="payments:read")
    def was_charged(self, invoice: str) -> bool:
        """Whether the provider has taken the money."""
        return any(key.endswith(f"/{invoice}") for key in self.provider.charged())

    @tacho.tool(effect="read", risk="low", scope="payments:read")
    def list_charges(self) -> list[str]:
        """Every charge that the provider has made, by its key."""
        return self.provider.charged()

    @tacho.effect(risk="critical", scope="payments:charge")
    def charge(self, invoice: str, key: str) -> str:
        """Money moves."""
        self.provider.charge(key)
        return f"{invoice} charged"

    def settled(self, invoice: str) -> None:
        """Note that an invoice is done; on disk with what comes next, as until then the provider can be asked."""
        self.progress.done.append(invoice)
        self.progress.in_flight = ""

    def save(self, label: str) -> None:
        """Put the progress on disk, and say so in the record."""
        progress = self.progress
        self.keep_progress(progress)
        in_flight = [progress.in_flight] if progress.in_flight else []
        tacho.checkpoint(label, done=progress.done, in_flight=in_flight, todo=progress.todo)

    @tacho.memory(operation="write", tier="long")
    def keep_progress(self, progress: Progress) -> None:
        """Write it down, all or nothing: a process that dies while it writes leaves the progress of before.

        Declared, as a replay must not write: it would end at a file that is written behind Tachograph's back.
        """
        new = self.directory / "progress.new"
        new.write_text(json.dumps(asdict(progress)), encoding="utf-8")
        new.replace(self.directory / "progress.json")

    def die_once(self, invoice: str) -> None:
        """The power cut of the story: after the charge, before the agent could note it."""
        if not self.is_second and invoice == f"INV-{KILLED_AT:02d}":
            # Real crashes come between two deliveries at most; this one lets the last step arrive.
            tacho.flush(timeout_s=5)
            os.kill(os.getpid(), signal.SIGKILL)


def _load(directory: Path) -> Progress:
    path = directory / "progress.json"
    if not path.exists():
        return Progress()
    return Progress(**json.loads(path.read_text(encoding="utf-8")))


def main() -> None:
    """The agent's own process: takes its work from standard input."""
    from tachograph.demo import SERVICE

    given: dict[str, Any] = json.load(sys.stdin)
    tacho.init(service=SERVICE, record="exact")
    tacho.instrument("anthropic")
    claude = Claude(**given["claude"])
    with anthropic.Anthropic(**claude.options) as client:
        billing = Billing(client, claude.model, Path(given["directory"]))
        print(billing.bill(Job(**given["month"]), billing.progress.run_id))
    tacho.flush(timeout_s=5)
