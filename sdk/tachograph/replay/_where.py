"""Lines of the agent's own program, for what a person is told."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import tachograph

_OURS = str(Path(tachograph.__file__).parent) + os.sep
_DEMO = _OURS + "demo" + os.sep


def program_line(depth: int = 1, *, or_any: bool = False) -> str:
    """``file:line in function`` of the program's nearest frame above; empty when there is none.

    ``or_any``: rather a library's nearest line than none.
    """
    frame: FrameType | None = sys._getframe(depth)
    other = ""
    while frame is not None:
        file = frame.f_code.co_filename
        if is_program(file):
            return _line(frame.f_code, frame.f_lineno)
        if or_any and not other and not file.startswith(("<", _OURS)):
            other = _line(frame.f_code, frame.f_lineno)
        frame = frame.f_back
    return other


def defined_at(function: Any) -> str:
    """Where a function of the program begins; empty for functions of others."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType) or not is_program(code.co_filename):
        return ""
    return _line(code, code.co_firstlineno)


def waiting_at(loop: asyncio.AbstractEventLoop) -> str:
    """Where the program's tasks wait, the innermost line of each of the first three."""
    found: list[str] = []
    for task in asyncio.all_tasks(loop):
        line = ""
        waiter: Any = task.get_coro()
        while waiter is not None:
            frame = getattr(waiter, "cr_frame", None)
            if frame is not None and is_program(frame.f_code.co_filename):
                line = _line(frame.f_code, frame.f_lineno)
            waiter = getattr(waiter, "cr_await", None)
        if line and line not in found:
            found.append(line)
    return ", ".join(sorted(found)[:3])


def line_of(frame: FrameType | None) -> str:
    """The nearest line of the program to a frame of any thread."""
    while frame is not None and not is_program(frame.f_code.co_filename):
        frame = frame.f_back
    return "an unknown place" if frame is None else _line(frame.f_code, frame.f_lineno)


def is_program(file: str) -> bool:
    """Whether a source file is neither ours, nor the interpreter's, nor a library's."""
    if file.startswith("<") or "site-packages" in file or "/lib/python" in file:
        return False
    return file.startswith(_DEMO) or not file.startswith(_OURS)


def _line(code: CodeType, number: int) -> str:
    name = code.co_filename
    here = os.getcwd() + os.sep  # noqa: PTH109 - a string, whose prefix is looked at
    return f"{name.removeprefix(here)}:{number} in {code.co_qualname}"


def woken_at(callback: Callable[..., Any]) -> str:
    """File and line at which the woken task waits, as far as it can be told."""
    task = getattr(callback, "__self__", None)
    coroutine = task.get_coro() if isinstance(task, asyncio.Task) else None
    place = "a callback"
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is None or "/asyncio/" in frame.f_code.co_filename:
            break
        place = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        coroutine = getattr(coroutine, "cr_await", None)
    return place
