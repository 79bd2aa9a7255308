"""The page that every page starts in."""

from __future__ import annotations

import gzip
import re
import urllib.request
from pathlib import Path

import pytest
import streamlit

from tachograph_dashboard import shell
from tachograph_dashboard.headers import content_security_policy

SCRIPTS = Path(streamlit.__file__).parent / "static" / "static" / "js"


def test_every_script_it_names_is_there_and_none_is_named_twice():
    """A name that a later Streamlit does not have would be fetched in vain, with every page."""
    named = re.findall(r'(?:href|src)="\./static/js/([^"]+)"', shell.page())
    assert len(named) == len(set(named))
    assert not [name for name in named if not (SCRIPTS / name).is_file()]


@pytest.mark.parametrize("kind", ["BidiComponent", "Button", "TextInput"])
def test_what_pages_draw_first_is_fetched_with_the_page(kind):
    """The names are those of this Streamlit; a later one that calls them otherwise is noticed here."""
    assert re.search(rf'rel="modulepreload" crossorigin href="\./static/js/{kind}\.', shell.page())


def test_its_scripts_are_allowed():
    assert content_security_policy().count("'sha256-") == shell.page().count("<script>") == 2


@pytest.mark.parametrize("path", ["/", "/approvals?id=1", "/run"])
def test_every_page_is_answered_with_it_packed_or_not(dashboard, path):
    for packed, read in (("identity", bytes), ("gzip", gzip.decompress)):
        asked = urllib.request.Request(
            f"{dashboard}{path}", headers={"Accept-Encoding": packed, "Accept": "text/html"}
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert answer.headers["Cache-Control"] == "no-cache"
            assert "ETag" not in answer.headers
            assert read(answer.read()).decode() == shell.page()


def test_what_is_no_page_is_left_as_it_is(dashboard):
    with urllib.request.urlopen(f"{dashboard}/_stcore/health", timeout=30) as answer:
        assert answer.read() == b"ok"
