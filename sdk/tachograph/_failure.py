"""Exceptions as facts: type, message and stack, bounded, whatever the exception's own code does."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from tachograph._guard import pass_on
from tachograph._moment import TookTooLong, for_a_moment
from tachograph_schemas import names

MESSAGE_LIMIT_CHARS = 4_096
STACK_LIMIT_CHARS = 16_384
"""Room for some 150 frames; a recursion error would bring thousands."""
STACK_LIMIT_FRAMES = 60


def safe_text(value: object, limit_chars: int = MESSAGE_LIMIT_CHARS) -> str:
    """``str(value)`` bounded, free of lone surrogates; a placeholder when its own code raises."""
    try:
        # A subclass of str may have a slice of its own; a long text is cut before it is copied.
        text: str = value if issubclass(type(value), str) else for_a_moment(str, value)  # type: ignore[assignment]  # a str
        return clean(str.__getitem__(text, slice(limit_chars)))
    except BaseException as error:
        pass_on(error)
        return f"({type_name(value)}: {not_recorded(error)})"


def not_recorded(error: BaseException) -> str:
    """What stands in the record where the value's own code raised ``error``, or did not end."""
    if type(error) is TookTooLong:
        return "could not be recorded: its code did not come to an end"
    return f"could not be recorded: {type_name(error)}"


def clean(text: str) -> str:
    """``text`` without lone surrogates, which protobuf refuses; the same object when there are none."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("utf-8")
    return text


def cleaned(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as they can be sent: texts cleaned, ``None`` values left out."""
    return {
        key: clean(value) if type(value) is str else value
        for key, value in attributes.items()
        if value is not None
    }


def is_cancellation(kind: type[BaseException]) -> bool:
    """Whether it is how asyncio cancels a task. Programs without an event loop are spared its import."""
    cancelled = getattr(sys.modules.get("asyncio"), "CancelledError", ())
    return issubclass(kind, cancelled)


def type_name(value: object) -> str:
    """``module.Class`` as the convention wants it; builtins without their module."""
    module, name = _class_parts(type(value))
    return name if module in {"builtins", "__main__"} else f"{module}.{name}"


def class_name(cls: type) -> str:
    """``module.Class``, bounded."""
    return ".".join(_class_parts(cls))[:200]


# Read past the metaclass, whose properties are code of the user's.
_MODULE = type.__dict__["__module__"]
_QUALNAME = type.__dict__["__qualname__"]


def _class_parts(cls: type) -> tuple[str, str]:
    try:
        module = _MODULE.__get__(cls)
    except AttributeError:
        module = "?"
    return (module if type(module) is str else "?"), _QUALNAME.__get__(cls)


def describe_error(error: BaseException) -> dict[str, str]:
    """The attributes of the exception event: type, message, stack."""
    return {
        names.EXCEPTION_TYPE: type_name(error),
        names.EXCEPTION_MESSAGE: safe_text(error),
        names.EXCEPTION_STACKTRACE: _stack(error),
    }


def _stack(error: BaseException) -> str:
    trace = _without_our_frames(error.__traceback__)
    try:
        lines = for_a_moment(
            traceback.format_exception, type(error), error, trace, limit=-STACK_LIMIT_FRAMES
        )
        text = "".join(lines)
    except BaseException as fault:
        pass_on(fault)
        return f"({type_name(error)}: its stack could not be formatted)"
    if len(text) > STACK_LIMIT_CHARS:
        # Where it started and where it broke are worth more than the middle.
        half = STACK_LIMIT_CHARS // 2
        text = (
            f"{text[:half]}\n  ... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
        )
    return clean(text)


def _without_our_frames(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame that is the user's: ours would only distract."""
    inner = trace
    while inner is not None and inner.tb_frame.f_globals.get("__package__") == "tachograph":
        inner = inner.tb_next
    return inner or trace
