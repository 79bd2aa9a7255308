"""A process that ends while the engine is at work ends with its own exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading
from tachograph_collector.ending import ends_with, engine_thread
from tachograph_schemas import store

client = store.connect("chdb://" + sys.argv[1])
begun = threading.Event()

def work():
    begun.set()
    client.query("SELECT count() FROM numbers({numbers}) WHERE NOT ignore(sipHash64(number))").result_rows

thread = engine_thread(work, "at work")
thread.start()
begun.wait()
print("said before the end")
sys.exit(ends_with(7))
"""


@pytest.mark.parametrize("numbers", [1, 300_000_000, 10**12])
def test_the_exit_code_is_the_programs_whatever_the_engine_does(tmp_path, numbers):
    """Over before, about to be over, never over."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{numbers}", str(numbers)), str(tmp_path / "data")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, "said before the end\n"), done.stderr
