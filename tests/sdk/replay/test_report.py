"""The report of a replay: place, differences, edited code, the command to go on; in text, JSON and HTML."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from programs import DESK, edit, record, tacho

from tachograph.replay._code_diff import code_changes
from tachograph.replay._divergence import Divergence
from tachograph.replay._recording import load
from tachograph.replay._report import explain, text
from tachograph.replay._report_html import page
from tachograph_schemas.text_diff import excerpted, marked, pieces


def git(folder, *words):
    subprocess.run(
        ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b", *words],
        check=True,
        capture_output=True,
    )


ASKS_GIT = """
        # On a busy machine so short a program has ended before git has answered.
        from tachograph import _code_version
        _code_version.known_for((lambda: 0).__code__.co_filename, wait_s=60)
        tacho.init()
"""


@pytest.fixture(scope="module")
def edited(tmp_path_factory):
    """A program under git, recorded, and then edited in its prompt and its amount."""
    folder = tmp_path_factory.mktemp("program")
    git(folder, "init")
    (folder / "desk.py").write_text("")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "one")
    desk = DESK.replace("\n        tacho.init()\n", ASKS_GIT)
    assert desk != DESK
    recording = record(folder, desk)
    git(folder, "add", "desk.py")
    git(folder, "commit", "-m", "two")
    # Recorded again, on committed code this time.
    recording.unlink()
    recording = record(folder, desk).rename(folder / "run.tacho")
    edit(folder / "desk.py", "Be polite", "Be brief")
    edit(folder / "desk.py", 'found[0]["paid"])', '2 * found[0]["paid"])')
    return folder


def test_report_says_where_what_why_and_how_to_go_on(edited):
    """The line as it is now, the words that changed, the edit that git knows, and the fork."""
    said = tacho(edited, "replay", "run.tacho", code=1)
    assert said.startswith("ARGS_CHANGED in step 3 of 4: ask is called with other arguments")
    assert re.search(r"now: desk\.py:\d+ in handle", said)
    assert "Be [-polite-]{+brief+}," in said
    assert '+    return refund(orders[0], 2 * found[0]["paid"])' in said
    assert "Go on live from here: tacho fork run.tacho --at 3" in said
    assert "usd" not in said.split("changed since")[0], "the second difference is not the first"


def test_lenient_replay_lists_every_difference(edited):
    answer = json.loads(tacho(edited, "replay", "run.tacho", "--lenient", "--json", code=1))
    assert answer["divergence"]["step"] == 3
    assert answer["divergence"]["where"].startswith("desk.py:")
    assert [drift["changes"] for drift in answer["drifts"]] == [["~ $.usd: 30 -> 60"]]
    assert answer["output"] == "receipt a", "it went to its end"
    assert answer["effects"] == answer["steps"] == 4
    assert answer["fork"] == "tacho fork run.tacho --at 3"
    assert answer["code"][0]["file"] == "desk.py"


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_html_escapes_what_was_recorded(edited):
    """Recorded text is hostile: no tag of it, and nothing that is fetched, reaches the page."""
    recording = load(edited / "run.tacho")
    evil = '</style></pre><script src="http://evil">alert(1)</script><img src=x onerror=alert(1)>'
    recording.run["agent"] = evil
    recording.calls[0].name = recording.calls[0].args = evil
    found = Divergence("ARGS_CHANGED", evil, 1, evil, evil, where=evil)
    found.expected = {"name": evil, "arguments": {evil: evil}}
    found.actual = {"name": evil, "arguments": {evil: evil + "!"}}
    answer = {
        "run_id": evil,
        "identical": False,
        "effects": 0,
        "output": None,
        "divergence": found.as_dict(),
        "drifts": [found.as_dict()],
    }
    tags = Tags()
    tags.feed(page(explain(answer, recording, evil, edited)))
    names = {name for name, _ in tags.found}
    assert not names & {"script", "img", "link", "iframe", "svg", "a"}
    assert not any(key.startswith("on") or key == "src" for _, attrs in tags.found for key in attrs)
    assert names >= {"ins", "pre", "table"}


def test_html_is_written_beside_the_text(edited):
    tacho(edited, "replay", "run.tacho", "--html", "report.html", code=1)
    written = (edited / "report.html").read_text()
    assert "<del>polite</del><ins>brief</ins>" in written
    assert "prefers-color-scheme: dark" in written
    assert "http" not in re.sub(r"http-equiv", "", written), "it fetches nothing"


def test_a_file_that_git_does_not_know_is_named(tmp_path):
    (tmp_path / "new.py").write_text("x = 1\n")
    found = code_changes(["new.py", "gone.py"], {}, "", tmp_path)
    assert [(change.file, change.note) for change in found] == [
        ("new.py", "the recording names no commit"),
        ("gone.py", "gone"),
    ]
    (option,) = code_changes(["new.py"], {}, "--output=/tmp/evil", tmp_path)
    assert option.note == "the recording names no commit"
    assert not Path("/tmp/evil").exists()


def test_words_are_marked_and_long_stretches_cut():
    old = "a " * 200 + "be kind" + " b" * 200
    assert marked(old, old.replace("kind", "strict")).count("…") == 2
    assert "[-kind-]{+strict+}" in marked(old, old.replace("kind", "strict"))
    both = pieces("one two", "one three")
    assert "".join(text for mark, text in both if mark != "+") == "one two"
    assert "".join(text for mark, text in both if mark != "-") == "one three"
    assert excerpted([("=", "short")]) == [("=", "short")]


def test_identical_says_so(edited):
    answer = {"run_id": "r", "identical": True, "effects": 4, "output": 1, "divergence": None}
    report = explain(answer, load(edited / "run.tacho"), "r", edited)
    assert text(report).startswith("Identical: 4 effects")
    assert report.as_dict()["fork"] is None
