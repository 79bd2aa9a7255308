"""Switching instruments on by name."""

from __future__ import annotations

import pytest

import tachograph as tacho
from tachograph import _instrument


def test_unknown_name_lists_the_known_ones():
    """A slip of the finger gets its answer in the message."""
    with pytest.raises(ValueError, match="there are: anthropic"):
        tacho.instrument("antropic")


def test_missing_client_names_the_extra(monkeypatch):
    """The error has the command that helps."""
    monkeypatch.setitem(_instrument._CLIENTS, "anthropic", "no_such_module_here")
    with pytest.raises(ImportError, match=r"pip install 'tachograph\[anthropic\]'"):
        tacho.instrument("anthropic")
    assert tacho.instrument() == []
