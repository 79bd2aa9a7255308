"""Exceptions as facts: type, message and stack, bounded, whatever the exception's own code does."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from tachograph_schemas import names

MESSAGE_LIMIT_CHARS = 4_096
STACK_LIMIT_CHARS = 16_384
"""Room for some 150 frames; a recursion error would bring thousands."""
STACK_LIMIT_FRAMES = 60


def safe_text(value: object, limit_chars: int = MESSAGE_LIMIT_CHARS) -> str:
    """``str(value)`` bounded, free of lone surrogates; a placeholder when its own code raises."""
    try:
        text = str(value)[:limit_chars]
    except Exception:
        return f"({type_name(value)}: its text could not be read)"
    return clean(text)


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


def type_name(value: object) -> str:
    """``module.Class`` as the convention wants it; builtins without their module."""
    cls = type(value)
    module, name = cls.__module__, cls.__qualname__
    return str(name) if module in {"builtins", "__main__"} else f"{module}.{name}"


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
        lines = traceback.format_exception(type(error), error, trace, limit=-STACK_LIMIT_FRAMES)
        text = "".join(lines)
    except Exception:
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
