"""Further kinds of values: containers of the standard library, classes of attrs, models, arrays, exceptions that hold more."""

from __future__ import annotations

import array
import dataclasses
import datetime as dt
import enum
import ipaddress
import json
import subprocess
import time
import types
from collections import Counter, OrderedDict, defaultdict, deque

import attrs
import numpy as np
import pydantic
import pytest

from tachograph.replay import _kinds  # noqa: F401 - registers what values may be
from tachograph.replay._codec import dumps, loads
from tachograph.replay._divergence import same
from tachograph.replay._types import Types, find_registered, type_id


class Right(enum.Flag):
    READ = 1
    WRITE = 2


@attrs.define
class Parcel:
    id: str
    items: list


class Invoice(pydantic.BaseModel):
    name: str = pydantic.Field(alias="fullName")
    _sent: int = 0


@dataclasses.dataclass
class Priced:
    id: str


PRICES = {"x": Priced("x")}
FURTHER = [
    *(deque([1, (2,)], maxlen=5), OrderedDict(b=1, a=2), Counter("aab"), defaultdict(list, a=[1])),
    *(range(1, 9, 2), slice(1, None), ..., NotImplemented, array.array("d", [1.5])),
    *(types.SimpleNamespace(a=(1,)), types.MappingProxyType({1: "a"}), time.gmtime(0)),
    *(subprocess.CompletedProcess(["ls"], 2, b"out"), ipaddress.ip_network("10.0.0.0/8")),
    *(Right.READ | Right.WRITE, Right(0), Parcel("p", [1]), dt.timezone(dt.timedelta(0), "here")),
    *(np.arange(6).reshape(2, 3), np.array(["a"]), np.float32(1.5), np.datetime64("2026-01-01")),
]


def names_the_classes() -> tuple[Right, Parcel]:
    """Stands for the code of a run."""


@pytest.mark.parametrize("value", FURTHER, ids=repr)
def test_further_values(value):
    """They come back; recordings of versions that could not write them compare them by class, as these did."""
    text, opaque = dumps(value)
    met = Types()
    met.meet(names_the_classes)
    tree = json.loads(text)
    back = loads(tree, met.find)
    assert not opaque
    assert (type(back), repr(back)) == (type(value), repr(value))
    assert same({"$": "opaque", "t": type_id(type(value))}, tree)
    assert not same({"$": "opaque", "t": "another:Class"}, tree)


def test_classes_in_tables_are_named():
    def by_table() -> None:
        PRICES.get("x")

    met = Types()
    met.meet(by_table)
    assert loads(json.loads(dumps(Priced("p"))[0]), met.find) == Priced("p")


def test_a_model_of_pydantic():
    """By its fields' own names; its private attributes come back and are not compared."""
    given = Invoice(fullName="Ada")
    given._sent = 3
    tree = json.loads(dumps(given)[0])
    back = loads(tree, {type_id(Invoice): Invoice}.get)
    assert (back, back._sent) == (given, 3)
    given._sent = 4
    assert same(tree, json.loads(dumps(given)[0]))


class MissingError(OSError):
    def __init__(self, code):
        super().__init__(code, "is missing")

    @property
    def filename(self):
        raise AssertionError("code of the program's own")


class ManyError(ExceptionGroup):
    def __init__(self, *_):
        raise AssertionError("code of the program's own")


def _told(error):
    found = [type(error).__name__, str(error), repr(error.__cause__), error.__suppress_context__]
    found += [getattr(error, name, None) for name in ("errno", "strerror", "message", "__notes__")]
    return found + [_told(each) for each in getattr(error, "exceptions", ())]


def _failures():
    without_cause = ValueError("v")
    without_cause.__cause__ = None
    without_cause.add_note("noted")
    many = ExceptionGroup.__new__(ManyError, "a", [KeyError("k")])
    yield from (MissingError(5), without_cause, ExceptionGroup("x (twice)", [many, ValueError(1)]))
    try:
        Invoice(other=1)
    except pydantic.ValidationError as error:
        yield error


def test_exceptions_with_more_to_them():
    classes = {type_id(each): each for each in (MissingError, ManyError)}
    for error in _failures():
        tree = json.loads(dumps(error)[0])
        back = loads(tree, lambda name: classes.get(name) or find_registered(name))
        assert _told(back) == _told(error)


def test_groups_are_written_once_a_member():
    """Not once as an argument and once more as a member, at each level again."""
    error = ValueError("innermost")
    for _ in range(12):
        error = ExceptionGroup("around", [error])
    assert dumps(error)[0].count("innermost") < 4
