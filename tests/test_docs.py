"""The documents are true: every setting is in them, every link leads somewhere, the snippets run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def declared() -> dict[str, object]:
    import tachograph_dashboard.settings  # noqa: F401
    from tachograph_schemas import settings

    return dict(settings.known())


def test_every_setting_is_documented_with_its_meaning():
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(TACHO_[A-Z_0-9]+)` \| [^|]* \| (.*) \|$", text, re.MULTILINE))
    known = declared()
    assert set(rows) == set(known)
    for name, setting in known.items():
        assert rows[name] == setting.help, name


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (path.parent / target).exists(), target


def test_the_readme_names_the_commands_that_exist():
    from tachograph.cli import parser

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`tacho ([a-z]+)", text))
    assert named <= set(parser.commands())


def test_decisions_are_numbered_without_gaps():
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs/decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
