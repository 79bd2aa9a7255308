"""The documents are true: every setting is in them, every link leads somewhere, the snippets run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import settings_page
from tachograph.cli import _parser
from tachograph_schemas import settings

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_settings_page_is_what_the_code_says():
    assert settings_page.PAGE.read_text(encoding="utf-8") == settings_page.render(), (
        "run `python tests/settings_page.py`"
    )


def test_every_setting_has_a_row():
    text = settings_page.render()
    for name in settings.known():
        assert f"| `{name}` |" in text, name


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (path.parent / target).exists(), target


def test_the_readme_names_the_commands_that_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`tacho ([a-z]+)", text))
    listed = set(re.findall(r"^ {4}([a-z]+)\b", _parser().format_help(), re.MULTILINE))
    assert named <= listed


def test_the_readme_s_example_records_what_it_says(tmp_path):
    """The first Python block is a program: it runs, and its run holds the gate and the effect."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    program = tmp_path / "example.py"
    program.write_text(
        "from tachograph.testing import captured_spans\n"
        "with captured_spans() as spans:\n"
        + "".join(f"    {line}\n" for line in block.splitlines())
        + "\nprint([span.layer for span in spans.all()])\n",
        encoding="utf-8",
    )
    result = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env=os.environ
        | {"TACHO_ENDPOINT": "http://127.0.0.1:9", "TACHO_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "refunded 80.0 for A-1007",
        "['gate', 'tool', 'run']",
    ]


def test_the_tests_that_the_page_of_threats_names_exist():
    sources = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py"))
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs/threats.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    assert [name for name in named if f"def {name}(" not in sources] == []


def test_decisions_are_numbered_without_gaps():
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs/decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
