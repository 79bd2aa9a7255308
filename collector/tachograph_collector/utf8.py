"""Broken UTF-8 in one string does not cost the batch: it is replaced by U+FFFD.

protobuf refuses a whole message for one bad byte in a string. Clients do send such bytes: text cut in the middle
of a character, file names, tool output. This is the slow path, and only bodies that were refused come here.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from tachograph_collector.otlp_schemas import BYTES_REQUESTS, TEXT_FIELDS
from tachograph_schemas.names import Signal


def mended(body: bytes, signal: Signal = "traces") -> tuple[bytes, int]:
    """The body with sound text, and how many strings were changed.

    Raises:
        DecodeError: text is not what is wrong with it.
    """
    request = BYTES_REQUESTS[signal].FromString(body)
    request.DiscardUnknownFields()
    changed = _mend(request)
    return request.SerializeToString(), changed


def _mend(message: Any) -> int:
    """Mend every string below ``message`` in place; the parser has bounded the depth."""
    changed = 0
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for child in value if field.is_repeated else (value,):
                changed += _mend(child)
        elif field.full_name in TEXT_FIELDS:
            if field.is_repeated:
                sound = [_sound(item) for item in value]
                changed += sum(map(_differ, sound, value))
                value[:] = sound
            elif (text := _sound(value)) is not value:
                setattr(message, field.name, text)
                changed += 1
    return changed


def _sound(text: bytes) -> bytes:
    """``text`` itself when it is UTF-8, else a copy that is."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode(errors="replace").encode()
    return text


def _differ(one: bytes, other: bytes) -> bool:
    return one is not other
