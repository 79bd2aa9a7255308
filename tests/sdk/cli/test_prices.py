"""`tacho prices`: what people type, what is refused, and how the list is aligned."""

from __future__ import annotations

import argparse

import pytest

from tachograph.cli import prices
from tachograph.cli.problem import Problem


def stored(model, **rates):
    return {"model": model, "provider": "", "from_s": 0} | {
        f"{name}_usd": rates.get(name, 0) / 1e6 for name in prices._CLASSES
    }


def test_prices_stand_with_their_points_below_each_other_and_are_not_rounded(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    listed = [stored("small", input=0.0375, output=2), stored("large", input=15, output=1500.125)]
    prices._show(argparse.Namespace(json=False), listed)
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[3:5] for line in lines] == [["$0.0375", "$2.00"], ["$15.00", "$1,500.125"]]
    first, second = ([at for at, sign in enumerate(line) if sign == "."] for line in lines)
    assert first == second


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": "m", "input": 1}, "`output` is missing"),
        ({"model": "m", "input": 1, "output": -2}, "a number from 0 up"),
        ({"model": "m", "input": float("nan"), "output": 2}, "a number from 0 up"),
        ({"model": "m", "input": True, "output": 2}, "a number from 0 up"),
        ({"model": "m", "inputs": 1, "output": 2}, "inputs: not known"),
        ({"input": 1, "output": 2}, "`model` is missing"),
        ({"model": "m", "input": 1, "output": 2, "from": "soon"}, "no date like"),
    ],
)
def test_a_price_that_is_none_is_refused_and_never_free(given, said):
    with pytest.raises(Problem, match=said):
        prices._price(given)
