"""python-upgrade: recordings of each version of Python, replayed in each other one.

    python -m tests.benchmarks versions --python python3.12 --python python3.13

This interpreter, and each that is named, records the agents of the replay tests and the recordings that are kept in the
tree are added; then every one of them replays all. An interpreter that lacks the package gets an environment of its own
under --environments, from the lock file, which takes some minutes and is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import types
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests" / "sdk" / "replay"
SCENARIOS = ("timeout_exact_race", "stream_tool_deltas", "uuid_ids", "cleanup", "nested_boundary")
VALUES = ("tool_exception", "time_in_prompt", "random_choice", "env_read", "large_payload")
_SERVER_FILE = "server.txt"


def main(words: list[str]) -> None:
    """Print which recordings replay where."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks versions")
    parser.add_argument("--python", action="append", default=[], metavar="PATH")
    parser.add_argument("--environments", type=Path, metavar="DIR", help="default: a temporary one")
    parser.add_argument("--schedules", type=int, default=5, help="recordings of each agent")
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        environments = given.environments or Path(folder) / "environments"
        pythons = [sys.executable, *(ready(each, environments) for each in given.python)]
        recorded = []
        for number, python in enumerate(pythons):
            tapes = Path(folder) / f"tapes{number}"
            tapes.mkdir()
            said = ask(python, "record", str(tapes), str(given.schedules))
            recorded.append((said["python"], tapes))
        recorded.append(("kept, 3.11", TESTS / "tapes"))
        print("| recorded in | replayed in | recordings | identical |\n| --- | --- | --- | --- |")
        for python in pythons:
            for version, tapes in recorded:
                said = ask(python, "replay", str(tapes))
                row = (version, said["python"], said["recordings"], said["identical"])
                print("|", " | ".join(map(str, row)), "|", flush=True)
                for name, why in said["different"].items():
                    print(f"  {name}: {why}", file=sys.stderr)


def ready(python: str, environments: Path) -> str:
    """An interpreter that has the package: the given one, or one with its libraries in a folder of its own."""
    question = "import tachograph, pytest, langgraph, sys; print(sys.executable)"
    asked = subprocess.run([python, "-c", question], cwd=ROOT, capture_output=True, check=False)
    if asked.returncode == 0:
        return python
    script = "import platform; print(platform.python_version())"
    version = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
    folder = environments / version.stdout.strip()
    if not (folder / ".installed").exists():
        print(f"installing into {folder}", file=sys.stderr)
        subprocess.run(
            ["make", "-s", "install", f"PYTHON={python}", f"VENV={folder}"], cwd=ROOT, check=True
        )
    return str(folder / "bin" / "python")


def ask(python: str, *words: str) -> dict:
    """What this file says, run by that interpreter."""
    environment = os.environ | {"PYTHONHASHSEED": "7", "TACHO_RECORD": "exact"}
    out = subprocess.run(
        [python, "-W", "ignore", __file__, *words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    return json.loads(out)


def agents() -> dict:
    """The runs of the tests, by name."""
    import test_frameworks
    import test_order
    import test_scenarios
    import test_values

    found = [*test_order.SCENARIOS, *test_frameworks.FRAMEWORKS]
    found += [getattr(test_scenarios, name) for name in SCENARIOS]
    found += [getattr(test_values, name) for name in VALUES]
    return {each.__name__: each for each in found}


def record(folder: Path, schedules: int) -> dict:
    """Make recordings of every agent, as files."""
    import test_frameworks
    from taped import call, taping

    with test_frameworks.serving() as server:
        (folder / _SERVER_FILE).write_text(server.url)
        for name, agent in agents().items():
            for number in range(schedules):
                with tempfile.TemporaryDirectory() as work, taping(Path(work)) as tapes:
                    outcome, value = call(agent)
                    assert outcome == "ok", value
                    (folder / f"{name}-{number}.tacho").write_bytes(tapes.newest().packed())
    return {"python": platform.python_version()}


def replay_all(folder: Path) -> dict:
    """Replay the recordings of a folder, made by any version."""
    answer = replayed_apart if (folder / "agents.py").exists() else replayed_here(folder)
    different = {}
    files = sorted(folder.glob("*.tacho"))
    for file in files:
        said = answer(file)
        if said is not None:
            different[file.name] = said
    return {
        "python": platform.python_version(),
        "recordings": len(files),
        "identical": len(files) - len(different),
        "different": different,
    }


def replayed_apart(file: Path) -> str | None:
    """What differs in a recording of the script beside it, replayed as users do."""
    from tachograph.replay._divergence import Divergence
    from tachograph.replay._process import replayed

    answer = replayed(file.read_bytes(), file.parent)
    return None if answer["identical"] else Divergence(**answer["divergence"]).text()


def replayed_here(folder: Path):
    """Replays recordings of the tests' agents in this process."""
    import test_frameworks

    from tachograph.replay._recording import load
    from tachograph.replay._run import replay

    known = agents()
    url = (folder / _SERVER_FILE).read_text()
    test_frameworks.SERVER = types.SimpleNamespace(url=url)

    def answer(file: Path) -> str | None:
        result = replay(load(file), known[file.name.partition("-")[0]])
        return None if result.identical else result.divergence.text()

    return answer


if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent), str(TESTS.parents[1])]
    folder = Path(sys.argv[2])
    answer = record(folder, int(sys.argv[3])) if sys.argv[1] == "record" else replay_all(folder)
    json.dump(answer, sys.stdout)
