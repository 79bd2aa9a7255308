"""How much of a payload is recorded: by decorator, by process, the stricter of the two."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import tachograph as tacho
from tachograph import _config, _fingerprint, _recorder
from tachograph._policy import PREVIEW_BYTES

LONG = "secret plan " * 500


@tacho.run(agent="a", capture_input="hash", capture_output="preview")
def plan(task):
    return task


@tacho.step
def stream():
    yield LONG
    yield LONG


@tacho.retrieval
def look_up(query):
    return [query]


@pytest.fixture
def process_policy(spans, monkeypatch):
    """Set what TACHO_CAPTURE sets."""
    return lambda policy: monkeypatch.setattr(_recorder.active(), "capture_policy", policy)


def test_decorators_hash_and_preview(spans):
    """Equal payloads have equal hashes; a preview is the beginning, as valid JSON."""
    plan(LONG)
    plan(LONG)
    plan(LONG + "!")
    first, second, third = (span.input for span in spans)
    assert first == second != third
    assert set(first) == {"$hash", "bytes"}
    assert first["bytes"] > len(LONG)
    assert spans[0].output == LONG[: len(spans[0].output) - 1] + "…"
    assert len(spans[0].attributes["tacho.output"]) <= PREVIEW_BYTES
    # The first argument stands for the goal when none is given: not when it is hashed.
    assert "tacho.run.goal" not in spans[0].attributes


@pytest.mark.parametrize("policy", ["preview", "hash", "none"])
def test_process_records_less_than_its_decorators_ask_for(spans, process_policy, policy):
    """No payload slips past: arguments, results, items, facts of layers, goals, queries, feedback."""
    process_policy(policy)
    tacho.run(agent="b")(lambda task: task)(LONG)
    list(stream())
    look_up(LONG)
    tacho.gate("g", allow=True, proposal={"p": LONG})
    tacho.handoff("x", payload=LONG)
    with tacho.repair("r") as loop:
        loop.attempt(LONG)
    for span in spans:
        values = [
            *span.attributes.values(),
            *(v for e in span.events for v in e.attributes.values()),
        ]
        texts = [value for value in values if isinstance(value, str)]
        assert all(len(text) <= PREVIEW_BYTES for text in texts)
        if policy != "preview":
            assert "secret plan" not in str(texts)


@pytest.mark.parametrize("policy", ["preview", "hash", "none"])
def test_result_is_the_same_whatever_is_recorded(spans, process_policy, policy):
    """The policy is about the record only."""
    process_policy(policy)
    assert plan(LONG) == LONG
    assert list(stream()) == [LONG, LONG]


def test_process_cannot_be_made_to_record_more(spans, process_policy):
    """What a decorator leaves out stays out."""
    process_policy("full")
    tacho.step(capture_input=False, capture_output="none")(lambda task: task)(LONG)
    assert spans.one().input is None
    assert spans.one().output is None


def test_unknown_policy_is_refused_where_it_is_written():
    """At decoration, when the author is looking."""
    with pytest.raises(ValueError, match="capture is 'some'"):
        tacho.step(capture_input="some")(lambda: None)


def test_unknown_policy_of_the_process_records_nothing(caplog):
    """Somebody wanted less; the default would be more than they asked for."""
    assert _config.read({}, {"TACHO_CAPTURE": "hashed"}).capture == "none"
    assert "TACHO_CAPTURE='hashed'" in caplog.text
    assert _config.read({}, {"TACHO_CAPTURE": "Preview"}).capture == "preview"


def test_redaction_settings_are_read():
    """Globs with commas; in the file a list."""
    given = {"TACHO_REDACT_PATHS": "*.card, app.*", "TACHO_REDACT_EMAILS": "1"}
    config = _config.read({}, given)
    assert config.redact_paths == ("*.card", "app.*")
    assert config.redact_emails is True
    assert _config.read({}, {}).redact_paths == ()
    assert _config._globs("['*.card', 'app.*']") == ("*.card", "app.*")


def test_key_is_the_installations_and_private(tmp_path, monkeypatch):
    """The same in every process of a home, its owner's alone, and another one in another home."""
    monkeypatch.setattr(_fingerprint, "_home", None)
    monkeypatch.setattr(_fingerprint, "_key", None)
    marks = []
    for name in ("one", "one", "two"):
        (tmp_path / name).mkdir(exist_ok=True)
        _fingerprint.keep_key_in(tmp_path / name)
        marks.append(_fingerprint.fingerprint("secret", 32))
    assert marks[0] == marks[1] != marks[2]
    path = tmp_path / "one" / _fingerprint.KEY_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in (tmp_path / "one").iterdir()] == [path.name]
    path.chmod(0o644)
    _fingerprint.keep_key_in(tmp_path / "one")
    assert _fingerprint.fingerprint("secret", 32) == marks[0]
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_a_usable_home_the_key_is_the_processs(tmp_path, monkeypatch):
    """A home that is missing is not made, one that is a file or damaged is left alone."""
    monkeypatch.setattr(_fingerprint, "_home", None)
    monkeypatch.setattr(_fingerprint, "_key", None)
    expected = _fingerprint.fingerprint("secret")
    (tmp_path / "file").write_text("x")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / _fingerprint.KEY_FILE).write_bytes(b"short")
    for name in ("missing", "file", "damaged"):
        _fingerprint.keep_key_in(tmp_path / name)
        assert _fingerprint.fingerprint("secret") == expected
    assert not (tmp_path / "missing").exists()


MISSPELT = """
import logging, sys
logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
import tachograph as tacho
tacho.init(disabled=True)
tacho.init(disabled=True)
"""


def test_misspelt_variables_are_warned_about_once(run_script):
    """Close to a setting of the SDK; what resembles none may be a setting of another part."""
    close = {"TACHO_ENDPIONT": "x", "TACHO_APIKEY": "x", "TACHO_DISABLE": "1"}
    other = {"TACHO_READERS": "4", "TACHO_RETENTION_DAYS": "3", "TACHO_SOMETHING": "x"}
    said = run_script(MISSPELT, **close, **other).stderr
    assert said.count("TACHO_ENDPIONT is not a setting; did you mean TACHO_ENDPOINT?") == 1
    assert said.count("did you mean") == 3
    for name in other:
        assert name not in said


def test_settings_of_other_parts_are_never_taken_for_misspelt():
    """The SDK knows its own table only; the variables of the rest must not resemble it too much."""
    pytest.importorskip("tachograph_collector")
    source = (
        "import json, tachograph._config\n"
        "from tachograph_schemas import settings\n"
        "known = dict(settings.known())\n"
        "import tachograph_collector.settings, tachograph_collector.gateway.limits\n"
        "import tachograph_dashboard.settings\n"
        "others = {name: 'x' for name in settings.known() if name not in known}\n"
        "settings._KNOWN.clear(); settings._KNOWN.update(known)\n"
        "print(json.dumps([len(others), settings.misspelt(others)]))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )
    count, sentences = json.loads(done.stdout)
    assert count > 5
    assert sentences == []
