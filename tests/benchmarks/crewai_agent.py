"""framework-agents with CrewAI: an agent whose model asks for three tools at once, recorded and replayed.

    python -m tests.benchmarks crewai --environments DIR --schedules 20

CrewAI brings some 140 packages, of other versions than ours: it gets an environment of its own, which is kept in DIR.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from threading import Thread

ROOT = Path(__file__).parents[2]


def main(words: list[str]) -> None:
    """Print how many replays were identical, and why others were not."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks crewai")
    parser.add_argument("--environments", type=Path, required=True, metavar="DIR")
    parser.add_argument("--schedules", type=int, default=20)
    parser.add_argument("--threads", choices=("exact", "free"), default="exact")
    given = parser.parse_args(words)
    python = given.environments / "crewai" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
        pip = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "crewai"], check=True)
        subprocess.run([*pip, "--no-deps", "--editable", ROOT], check=True)
    with tempfile.TemporaryDirectory() as home:
        quiet = {"CREWAI_DISABLE_TELEMETRY": "true", "OTEL_SDK_DISABLED": "true", "HOME": home}
        quiet |= {"CREWAI_TRACING_ENABLED": "false", "CREWAI_DISABLE_TRACKING": "true"}
        command = [python, "-W", "ignore", __file__, str(given.schedules), given.threads]
        out = subprocess.run(
            command, cwd=home, env=os.environ | quiet, stdout=subprocess.PIPE, check=True
        ).stdout
    said = json.loads(out.splitlines()[-1])
    print("| framework | schedules | effects | identical |\n| --- | --- | --- | --- |")
    print(
        f"| CrewAI {said['version']} | {given.schedules} | {said['effects']} | {said['identical']} |"
    )
    for why, count in said["different"].items():
        print(f"{count} times: {why}")


def measure(schedules: int, threads: str) -> dict:
    """Record and replay the agent so often; in the environment of CrewAI."""
    from importlib.metadata import version

    import crewai
    from crewai.tools import tool as crewai_tool
    from model_server import ModelServer
    from taped import call, taping

    import tachograph as tacho
    from tachograph.replay.__main__ import _watch
    from tachograph.replay._run import replay

    server = ModelServer()
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    @tacho.tool
    def weather_of(city: str) -> str:
        server.never.wait(len(city) / 1000)
        return f"sunny in {city}"

    @tacho.tool
    def stock_of() -> str:
        return "7 left"

    @crewai_tool("weather")
    def weather(city: str) -> str:
        """The weather of a city."""
        return weather_of(city)

    @crewai_tool("stock")
    def stock() -> str:
        """What is in stock."""
        return stock_of()

    @tacho.run(threads=threads)
    def crew() -> str:
        model = crewai.LLM(model="openai/gpt-4o-mini", base_url=server.url, api_key="none")
        one = crewai.Agent(
            role="clerk", goal="answer", backstory="-", llm=model, tools=[weather, stock]
        )
        task = crewai.Task(description="Look.", expected_output="A sentence.", agent=one)
        return str(crewai.Crew(agents=[one], tasks=[task]).kickoff())

    # The first run of a process emits one event more than those that come after, so it comes before.
    call(crew)
    different: Counter[str] = Counter()
    effects = 0
    for _ in range(schedules):
        with tempfile.TemporaryDirectory() as folder, taping(Path(folder)) as tapes:
            outcome, value = call(crew)
            recording = tapes.newest()
            if outcome != "ok":
                different[f"the run: {value!r}"] += 1
                continue
            effects = len(recording.calls)
            asked = server.asked
            # As `tacho replay` does: what waits for good is given up, and said to.
            found = replay(recording, crew, started=lambda player: _watch(player, 1.0)).divergence
            if server.asked != asked:
                different["the server was asked in a replay"] += 1
            if found is not None:
                different[found.text()] += 1
    return {
        "version": version("crewai"),
        "effects": effects,
        "identical": schedules - different.total(),
        "different": dict(different),
    }


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests" / "sdk" / "replay"))
    logging.disable(logging.WARNING)
    print(json.dumps(measure(int(sys.argv[1]), sys.argv[2])))
