"""A small program of a user, run as a script in a folder of its own and recorded without a collector."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tachograph.replay._ship import pack_journal
from tachograph.replay._update import only_tape

DESK = '''
    import asyncio, sys
    import tachograph as tacho

    PROMPT = """You are the refund desk of a coffee shop. Be polite, answer in one short sentence, and never
    promise more than the order was worth."""

    @tacho.tool
    async def look_up(order):
        return {"order": order, "paid": 30}

    @tacho.model
    async def ask(messages):
        return {"say": "refund it"}

    @tacho.effect
    def refund(order, usd):
        return f"receipt {order}"

    @tacho.run(agent="desk")
    async def handle(orders):
        found = await asyncio.gather(*(look_up(order) for order in orders))
        await ask([{"role": "system", "content": PROMPT}, {"role": "user", "content": str(found)}])
        return refund(orders[0], found[0]["paid"])

    if __name__ == "__main__":
        tacho.init()
        print(asyncio.run(handle(["a", "b"])))
'''


def environment(home: Path) -> dict[str, str]:
    """For a process of a user: nothing of this test run's, and no collector."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TACHO_", "PYTEST_"))}
    return kept | {
        "TACHO_HOME": str(home),
        "TACHO_ENDPOINT": "http://127.0.0.1:9",
        "TACHO_RECORD": "exact",
    }


def record(folder: Path, source: str = DESK) -> Path:
    """Write ``desk.py`` into ``folder``, run it, and return its recording."""
    script = folder / "desk.py"
    script.write_text(textwrap.dedent(source))
    home = folder / "home"
    made = subprocess.run(
        [sys.executable, "desk.py"],
        cwd=folder,
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert made.returncode == 0, made.stderr
    return recording_in(home)


def recording_in(home: Path) -> Path:
    """The one that a program which has ended left there. Its exit waits two seconds, busy machine or not: it may be unpacked."""
    left = only_tape(home / "tapes")
    assert left is not None, list((home / "tapes").iterdir())
    if left.suffix == ".tape":
        pack_journal(left)
    return left.with_suffix(".tacho")


def edit(script: Path, old: str, new: str) -> None:
    """Change one place of a program."""
    source = script.read_text()
    assert old in source
    script.write_text(source.replace(old, new))


def tacho(folder: Path, *words: str, code: int = 0) -> str:
    """Run a command in the program's folder; what it printed."""
    result = subprocess.run(
        [sys.executable, "-m", "tachograph.cli", *words],
        cwd=folder,
        env=environment(folder / "home"),
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout
