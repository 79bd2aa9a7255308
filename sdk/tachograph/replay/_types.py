"""Which classes a tape's values may become. The code says it, never the tape: a name on a tape is looked up here only.

Three sources. What was registered by :func:`register`. Exceptions of a closed table of modules. And what the code that
is being replayed names itself: from the functions of the run that have been called, through annotations and the names
in their bodies, on through functions and classes of the program, with subclasses. Reading annotations evaluates
nothing: a class that is quoted is found by its words.

Classes with a finalizer (``__del__``) are none of them: theirs is the one code that would run for a value that a tape
brings.
"""

from __future__ import annotations

import builtins
import dataclasses
import functools
import inspect
import os
import re
import sys
import types
import typing
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

_STANDARD = os.path.dirname(os.__file__)  # noqa: PTH120 - compared with file names as text
_LOOKED_AT_LIMIT = 50_000
"""Functions and classes that are followed at most; more is no program that names its types."""
_TABLES = frozenset((dict, list, tuple, set, frozenset))
_TABLE_ITEMS = 1_000
"""Larger ones are data, and name no classes."""
_WORD = re.compile(r"[A-Za-z_]\w*")
_EXCEPTION_MODULES = frozenset(
    (
        *(
            "asyncio.exceptions",
            "asyncio.queues",
            "asyncio.timeouts",
            "binascii",
            "builtins",
            "csv",
        ),
        *(
            "concurrent.futures._base",
            "concurrent.futures",
            "decimal",
            "http.client",
            "json.decoder",
            "numpy.linalg",
        ),
        *("queue", "_queue", "socket", "sqlite3", "ssl", "struct", "subprocess", "urllib.error"),
        *("requests.exceptions", "urllib3.exceptions", "aiohttp.client_exceptions"),
        *("zipfile", "zlib", "httpx", "httpx2", "httpcore", "httpcore2", "tachograph.errors"),
    )
)
"""Whose exceptions are revived when the module is loaded: what effects raise without being named by an agent."""
_NEVER = frozenset(("KeyboardInterrupt", "GeneratorExit"))
"""Events of the schedule, no outcomes."""

_registered: dict[str, type] = {}


def register(cls: type) -> None:
    """Let values of ``cls`` come back from tapes.

    Raises:
        TypeError: it has a finalizer, which would run for what a tape brings.
    """
    if hasattr(cls, "__del__"):
        raise TypeError(f"{cls.__qualname__} has a finalizer, and cannot be revived from a tape")
    _registered[type_id(cls)] = cls


def type_id(cls: type) -> str:
    """``module:qualname``; the script that is run is ``__main__`` under every name."""
    module = "__main__" if cls.__module__ == "__tacho_main__" else cls.__module__
    return f"{module}:{cls.__qualname__}"


def is_of_the_program(owner: Any) -> bool:
    """Whether a class or function is not of the standard library or of an installed package."""
    name = getattr(owner, "__module__", None)
    if not isinstance(name, str):
        return False
    if name.startswith("tachograph.demo"):
        return True
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return bool(file) and "site-packages" not in file and not file.startswith(_STANDARD)


class Types:
    """The classes that one replay may revive."""

    def __init__(self) -> None:
        self._functions: dict[int, Any] = {}
        self._followed = 0
        self._walk = _Walk()

    def meet(self, function: Any) -> None:
        """A function of the run is called: its code may name classes."""
        self._functions[id(function)] = function

    def find(self, name: Any) -> type | None:
        """The class of that id; None for one that no code names."""
        if not isinstance(name, str):
            return None
        cls = _registered.get(name) or _exception(name)
        if cls is None and self._followed < len(self._functions):
            # Only now, as most tapes bring no classes at all.
            self._walk.start(list(self._functions.values())[self._followed :])
            self._followed = len(self._functions)
        return cls or self._walk.found.get(name)


def _exception(name: str) -> type | None:
    module_name, _, label = name.partition(":")
    if module_name not in _EXCEPTION_MODULES or label in _NEVER:
        return None
    module = sys.modules.get(module_name)
    # The dictionary, not getattr: looking up must not run a module's code.
    cls = vars(module).get(label) if module is not None else None
    return cls if isinstance(cls, type) and issubclass(cls, BaseException) else None


class _Walk:
    """From functions to the classes that their code names."""

    def __init__(self) -> None:
        self.found: dict[str, type] = {}
        self._seen: set[int] = set()
        self._kept: list[Any] = []
        """Keeps what was seen alive, as it is known by its address."""
        self._todo: deque[Any] = deque()

    def start(self, functions: list[Any]) -> None:
        for function in functions:
            self._add(function, trusted=True)
        while self._todo and len(self._seen) < _LOOKED_AT_LIMIT:
            each = self._todo.popleft()
            if isinstance(each, type):
                self._class(each)
            else:
                self._function(each)

    def _add(self, value: Any, *, trusted: bool = False) -> None:
        """Take a value that code names: a class, a function, an instance of a class of the program."""
        if id(value) in self._seen:
            return
        if isinstance(value, type):
            self._take(value)
            return
        function = _plain_function(value)
        if function is None:
            if is_of_the_program(type(value)):
                self._take(type(value))
            elif type(value) in _TABLES and len(value) <= _TABLE_ITEMS:
                for item in value.values() if isinstance(value, dict) else value:
                    if is_of_the_program(type(item)):
                        self._take(type(item))
            return
        if id(function) not in self._seen and (trusted or is_of_the_program(function)):
            self._see(function)
            self._todo.append(function)

    def _see(self, value: Any) -> None:
        self._seen.add(id(value))
        self._kept.append(value)

    def _take(self, cls: type) -> None:
        if id(cls) in self._seen or cls.__module__ == "builtins":
            return
        self._see(cls)
        if not hasattr(cls, "__del__"):
            # The first: a dataclass with slots has an older self of the same name.
            self.found.setdefault(type_id(cls), cls)
        self._todo.append(cls)

    def _class(self, cls: type) -> None:
        ours = is_of_the_program(cls)
        if ours or issubclass(cls, BaseException):
            subclasses: list[type] = type.__subclasses__(cls)
            for subclass in subclasses:
                self._take(subclass)
        if not ours and not dataclasses.is_dataclass(cls) and not _is_model(cls):
            return
        for base in cls.__mro__:
            self._annotations(base, vars(sys.modules.get(base.__module__, builtins)))
        if ours:
            for member in vars(cls).values():
                for part in _functions_in(member):
                    self._add(part)

    def _function(self, function: types.FunctionType) -> None:
        names = function.__globals__
        self._annotations(function, names)
        owner = function.__qualname__.partition(".")[0]
        if owner != function.__qualname__ and isinstance(names.get(owner), type):
            self._add(names[owner])
        for cell in function.__closure__ or ():
            try:
                self._add(cell.cell_contents)
            except ValueError:
                continue  # not filled yet
        for code in _codes(function.__code__):
            self._words(code.co_names, names)

    def _words(self, words: Any, names: dict[str, Any]) -> None:
        for word in words:
            value = names.get(word)
            if isinstance(value, types.ModuleType):
                # `models.Order` is two names of the code.
                self._members(value, words)
            elif value is not None:
                self._add(value)

    def _members(self, module: types.ModuleType, words: Any) -> None:
        for word in words:
            value = vars(module).get(word)
            if isinstance(value, (type, types.FunctionType)):
                self._add(value)

    def _annotations(self, owner: Any, names: dict[str, Any]) -> None:
        try:
            found = inspect.get_annotations(owner)
        except Exception:
            return  # later versions of Python compute them, and names may be missing
        for each in list(found.values()):
            self._annotation(each, names, 0)

    def _annotation(self, given: Any, names: dict[str, Any], depth: int) -> None:
        if depth > 20:
            return
        if isinstance(given, typing.ForwardRef):
            given = given.__forward_arg__
        if isinstance(given, str):
            self._words(_WORD.findall(given), names)
            return
        if isinstance(given, type):
            self._add(given)
        for part in typing.get_args(given):
            self._annotation(part, names, depth + 1)


def _plain_function(value: Any) -> types.FunctionType | None:
    """The function of the program behind decorators, methods and partials."""
    if isinstance(value, types.MethodType):
        value = value.__func__
    if isinstance(value, functools.partial):
        value = value.func
    try:
        value = inspect.unwrap(value)
    except (ValueError, AttributeError):
        return None
    return value if isinstance(value, types.FunctionType) else None


def _functions_in(member: Any) -> Iterator[Any]:
    if isinstance(member, (staticmethod, classmethod)):
        member = member.__func__
    if isinstance(member, property):
        yield from (part for part in (member.fget, member.fset) if part is not None)
    elif isinstance(member, types.FunctionType):
        yield member


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A function's code and that of the functions inside of it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _is_model(cls: type) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(cls, pydantic.BaseModel)


Find = Callable[[Any], type | None]
"""Looks a class up by its id."""


def find_registered(name: Any) -> type | None:
    """The class of that id where no code is being replayed: registered ones and known exceptions."""
    return Types().find(name)
