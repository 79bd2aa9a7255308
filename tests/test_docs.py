"""The documents are true: every setting is in them, every link leads somewhere, the snippets run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import settings_page
from tachograph.cli import _COMMANDS
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
    assert named <= set(_COMMANDS)


def test_the_readme_s_python_runs():
    """Every Python block compiles, and the first one records what it says."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        ast.parse(block)


def test_decisions_are_numbered_without_gaps():
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs/decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
