"""Makes a tape of an agent of ``agents.py``: ``python record.py NAME``. For new agents; tapes are never made again."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from tachograph.replay._recording import load
from tachograph.replay._redacted import redacted

HERE = Path(__file__).parent


def main() -> None:
    name = sys.argv[1]
    target = HERE / f"{name}-{version('tachograph')}.tacho"
    if target.exists():
        raise SystemExit(f"{target} is there already, and is kept")
    with tempfile.TemporaryDirectory() as home:
        settings = {"TACHO_HOME": home, "TACHO_RECORD": "exact", "PYTHONHASHSEED": "7"}
        settings["TACHO_ENDPOINT"] = "http://127.0.0.1:9"
        subprocess.run(
            [sys.executable, "agents.py", name], cwd=HERE, env=os.environ | settings, check=True
        )
        (tape,) = (Path(home) / "tapes").glob("*.tacho")
        target.write_bytes(redacted(load(tape)))
    print(target)


if __name__ == "__main__":
    main()
