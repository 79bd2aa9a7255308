"""Stands in for Claude Code, which needs an account: the same stdio protocol, and what it says is a script.

Run as ``claude_cli.py FOLDER ...``: says the messages of ``script.json`` there, the first ones when it is asked something,
further ones when its own questions are answered; the answers go to ``answers.json``. After the last message it waits
until its input is closed, as Claude Code does.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

RESULT = {
    "type": "result",
    "subtype": "success",
    "duration_ms": 1,
    "duration_api_ms": 1,
    "is_error": False,
    "num_turns": 1,
    "session_id": "s",
    "result": "Done.",
    "total_cost_usd": 0.5,
}


def tool_use(call_id: str, name: str, *, parent: str | None = None, **given: Any) -> dict[str, Any]:
    """The model calls a tool; ``parent``: the call of the sub-agent that does."""
    block = {"type": "tool_use", "id": call_id, "name": name, "input": given}
    message = {"role": "assistant", "model": "claude-haiku-4-5", "content": [block]}
    return {"type": "assistant", "message": message, "parent_tool_use_id": parent}


def tool_result(call_id: str, content: str, *, is_error: bool = False) -> dict[str, Any]:
    """What the tool answered."""
    block = {
        "type": "tool_result",
        "tool_use_id": call_id,
        "content": content,
        "is_error": is_error,
    }
    return {"type": "user", "message": {"role": "user", "content": [block]}}


def install_cli(folder: Path, *script: dict[str, Any]) -> Path:
    """Write a program ``claude`` into ``folder`` that says ``script`` and a result; returns its path."""
    (folder / "script.json").write_text(json.dumps([*script, RESULT]), encoding="utf-8")
    cli = folder / "claude"
    cli.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {folder} "$@"\n')
    cli.chmod(0o755)
    return cli


def answers_to(folder: Path) -> list[Any]:
    """What the questions of the script were answered with."""
    return json.loads((folder / "answers.json").read_text(encoding="utf-8"))


def environment_of(folder: Path) -> dict[str, str]:
    """The environment that the program was started in."""
    return json.loads((folder / "environment.json").read_text(encoding="utf-8"))


def _main(folder: Path) -> None:
    script = json.loads((folder / "script.json").read_text(encoding="utf-8"))
    (folder / "environment.json").write_text(json.dumps(dict(os.environ)), encoding="utf-8")
    answers: list[Any] = []
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "control_request":
            response = {
                "subtype": "success",
                "request_id": message["request_id"],
                "response": {"hook_on_failure_supported": True},
            }
            _say({"type": "control_response", "response": response})
            continue
        if message["type"] == "control_response":
            answers.append(message["response"]["response"])
            (folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")
        while script:
            _say(told := script.pop(0))
            if told["type"] == "control_request":
                break


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
