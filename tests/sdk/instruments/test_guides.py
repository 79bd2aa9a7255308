"""The guides are true: the program in each runs against the real library, and its run holds what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from claude_cli import install_cli, tool_result, tool_use
from openai_server import OpenAIServer, Reply, completion, response, said
from otlp_server import running_collector

from tachograph import _instrument
from tachograph.demo.model_server import ModelServer

FOLDER = Path(__file__).parents[3] / "docs/integrations"
GUIDES = {
    "anthropic": (["model", "run"], "I have read your message."),
    "claude-agent-sdk": (["tool", "run"], "Done."),
    "httpx": (["step", "other", "run"], "sent: True"),
    "httpx2": (["step", "other", "run"], "sent: True"),
    "instructor": (
        ["model", "validation", "model", "validation", "repair", "run"],
        "cap_usd=500000",
    ),
    "langgraph": (
        [
            "checkpoint",
            "checkpoint",
            "approval",
            "step",
            "run",
            "checkpoint",
            "approval",
            "step",
            "checkpoint",
            "run",
        ],
        "'approved': True",
    ),
    "mcp": (["other", "tool", "run"], "80.0 refunded"),
    "openai": (["model", "run"], "Rain."),
    "openai-agents": (["model", "tool", "model", "agent", "run"], "Paid back."),
    "purgatory": (["breaker", "breaker", "run"], "from the cache"),
    "pybreaker": (["breaker", "breaker", "run"], "from the cache"),
    "pydantic": (["validation", "validation", "run"], "cap_usd=500000"),
    "stamina": (["retry", "tool", "run"], "refunded 80"),
    "tenacity": (["retry", "tool", "run"], "refunded 80"),
}
"""Guide to the layers that its program records, in the order of their ends, and a word it prints."""

REFUND = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "refund",
    "arguments": '{"order": "A-1007"}',
}
ANSWERS = {
    "instructor": [
        completion({"content": '{"cap_usd": "$500,000"}'}),
        completion({"content": '{"cap_usd": 500000}'}),
    ],
    "openai-agents": [Reply(response([REFUND])), Reply(response([said("Paid back.")]))],
}
"""What the model says to a guide's program, where it matters."""


def test_every_hook_has_a_guide_and_every_guide_is_run():
    files = {path.stem for path in FOLDER.glob("*.md")}
    assert files == set(GUIDES) == set(_instrument.HOOKS)


@pytest.mark.parametrize("guide", sorted(GUIDES))
def test_the_program_of_a_guide_records_what_it_should(guide, tmp_path):
    """Copied out and run as it stands, with nothing but a collector to listen."""
    text = (FOLDER / f"{guide}.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "block.py").write_text(block, encoding="utf-8")
    install_cli(tmp_path, tool_use("t1", "Bash", command="ls"), tool_result("t1", "a.txt"))
    with ModelServer() as claude, OpenAIServer() as gpt, running_collector() as collector:
        gpt.will_say(*ANSWERS.get(guide, [completion({"content": "Rain."})]))
        result = subprocess.run(
            [sys.executable, "block.py"],
            cwd=tmp_path,
            env=os.environ
            | {
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "TACHO_ENDPOINT": collector.url,
                "TACHO_HOME": str(tmp_path / "home"),
                "ANTHROPIC_BASE_URL": claude.url,
                "ANTHROPIC_API_KEY": "k",
                "OPENAI_BASE_URL": gpt.url,
                "OPENAI_API_KEY": "k",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
    layers, word = GUIDES[guide]
    assert result.returncode == 0, result.stderr
    found = [span.attributes.get("tacho.layer") for span in collector.final()]
    assert [layer for layer in found if layer is not None] == layers
    assert word in result.stdout
