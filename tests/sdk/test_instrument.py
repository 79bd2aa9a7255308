"""Switching hooks on and off by name, without importing what the program does not use."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import replace

import pytest

import tachograph as tacho
from tachograph import _instrument


def child(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
        env={key: text for key, text in os.environ.items() if not key.startswith("PYTEST")},
    )
    return done.stdout.splitlines()


def test_unknown_name_lists_the_known_ones():
    """A slip of the finger gets its answer in the message."""
    with pytest.raises(ValueError, match=r"there are: anthropic, .*openai"):
        tacho.instrument("antropic")
    with pytest.raises(ValueError, match="no instrument is called 'nonsense'"):
        tacho.uninstrument("nonsense")


def test_a_missing_library_is_named_with_the_command_that_helps(monkeypatch):
    """By the extra where there is one, else by the versions that are tested."""
    hook = _instrument.HOOKS["anthropic"]
    missing = replace(hook, distribution="no-such-distribution")
    monkeypatch.setattr(_instrument, "HOOKS", {"anthropic": missing})
    with pytest.raises(ImportError, match=r"pip install 'tachograph\[anthropic\]'"):
        tacho.instrument("anthropic")
    assert tacho.instrument() == []
    monkeypatch.setattr(_instrument, "HOOKS", {"anthropic": replace(missing, extra=False)})
    with pytest.raises(ImportError, match="pip install 'no-such-distribution>=1,<3'"):
        tacho.instrument("anthropic")


def test_an_untested_version_is_reported_once_and_hooked_all_the_same(monkeypatch, caplog):
    """Versions move on; what is found of the seams is used."""
    old = replace(_instrument.HOOKS["anthropic"], oldest=(999,))
    monkeypatch.setattr(_instrument, "HOOKS", {"anthropic": old})
    monkeypatch.setattr(_instrument, "_warned", set())
    with caplog.at_level(logging.WARNING, "tachograph"):
        assert tacho.instrument("anthropic") == ["anthropic"]
        assert tacho.instrument() == ["anthropic"]
    try:
        assert [record.message.partition(",")[0] for record in caplog.records] == [
            f"tachograph hooks into anthropic {_instrument._version(old)}"
        ]
    finally:
        tacho.uninstrument("anthropic")


def test_nothing_is_imported_until_the_program_imports_it():
    """Asking for all that is installed costs no import; the hook is in as soon as its library is."""
    out = child(
        "import sys, tachograph as tacho\n"
        "found = tacho.instrument()\n"
        "print('openai' in found, 'anthropic' in found)\n"
        "print(sorted({'openai', 'anthropic', 'pydantic', 'httpx2'} & set(sys.modules)))\n"
        "import openai\n"
        "from openai._base_client import SyncAPIClient\n"
        "print(hasattr(SyncAPIClient.request, '__tachograph_instrument__'))\n"
        "print(type(openai.__loader__).__module__, openai.__spec__.loader is openai.__loader__)\n"
        "tacho.instrument(); tacho.uninstrument()\n"
        "print(hasattr(SyncAPIClient.request, '__tachograph_instrument__'))\n"
        "print([type(finder).__module__ for finder in sys.meta_path if 'tacho' in repr(finder)])\n"
    )
    assert out == ["True True", "[]", "True", "_frozen_importlib_external True", "False", "[]"]


def test_a_library_that_was_imported_before_is_hooked_into_at_once():
    """The order of the program's lines does not matter."""
    out = child(
        "import openai, tachograph as tacho\n"
        "tacho.instrument('openai')\n"
        "from openai._base_client import SyncAPIClient\n"
        "print(hasattr(SyncAPIClient.request, '__tachograph_instrument__'))\n"
    )
    assert out == ["True"]


def test_an_import_that_fails_stays_as_it_was_and_may_be_tried_again(tmp_path):
    """The program sees the library's own error, and the hook waits for the next try."""
    (tmp_path / "fragile.py").write_text(
        "import os\nif 'READY' not in os.environ:\n    raise RuntimeError('not ready')\n"
    )
    out = child(
        f"import os, sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from tachograph import _on_import\n"
        "_on_import.call_after('fragile', 'key', lambda: print('called'))\n"
        "try:\n import fragile\nexcept RuntimeError as error:\n print(error)\n"
        "os.environ['READY'] = '1'\n"
        "import fragile\n"
        "print(fragile.__loader__.get_source('fragile')[:9])\n"
    )
    assert out == ["not ready", "called", "import os"]


def test_a_fault_while_hooking_in_does_not_reach_the_import():
    """A library whose insides changed is imported all the same."""
    out = child(
        "import logging, tachograph as tacho\n"
        "from tachograph.instruments import _patch\n"
        "def broken(*_): raise ZeroDivisionError\n"
        "_patch.wrap = broken\n"
        "tacho.instrument('openai')\n"
        "import openai\n"
        "print(openai.OpenAI.__name__)\n"
    )
    assert out == ["OpenAI"]


def test_twice_is_once_and_undoing_it_leaves_the_very_methods_that_were_there():
    """For every hook whose library is installed, whatever it replaced."""
    out = child(
        "import importlib, tachograph as tacho\n"
        "from tachograph import _instrument\n"
        "from tachograph.instruments import _patch\n"
        "before, wrap = {}, _patch.wrap\n"
        "def spy(owner, name, wrapper):\n"
        "    before.setdefault((owner, name), vars(owner).get(name))\n"
        "    return wrap(owner, name, wrapper)\n"
        "_patch.wrap = spy\n"
        "on = tacho.instrument()\n"
        "for name in on: importlib.import_module(_instrument.HOOKS[name].module)\n"
        "once = {place: vars(place[0])[place[1]] for place in before}\n"
        "tacho.instrument(); tacho.instrument(*on)\n"
        "print(once == {place: vars(place[0])[place[1]] for place in before})\n"
        "print(all(once[place] is not own for place, own in before.items()))\n"
        "tacho.uninstrument()\n"
        "print([place for place, own in before.items() if vars(place[0])[place[1]] is not own])\n"
        "print(len(on) > 10, len(before) > 30)\n"
    )
    assert out == ["True", "True", "[]", "True True"]


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ("", 1),
        ("tacho.init(endpoint='http://127.0.0.1:9')", 0),
        ("tacho.init(disabled=True)", 0),
        ("from tachograph.testing import captured_spans; captured_spans().__enter__()", 0),
    ],
)
def test_hooks_without_a_recorder_are_told_at_the_exit(run_script, first, said):
    """Nothing is recorded before `init`, and nothing else would tell."""
    done = run_script(f"import tachograph as tacho\n{first}\ntacho.instrument('tenacity')\n")
    assert done.stderr.count("nothing was recorded") == said
