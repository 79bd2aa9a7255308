"""How much of a payload is recorded: all of it, its beginning, a keyed hash, nothing.

A decorator has a policy and so has the process (``TACHO_CAPTURE``); the stricter of the two holds, so
that whoever runs an agent can record less than its author thought of, never the other way round.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from tachograph._capture import capture, freeze
from tachograph._fingerprint import fingerprint
from tachograph._given import text
from tachograph._otlp import Json

Policy = Literal["full", "preview", "hash", "none"]
Capture = bool | Policy
"""What ``capture_input`` and ``capture_output`` take: True is ``full``, False is ``none``."""

PREVIEW_BYTES: Final = 512
_STRICTNESS: Final = {"full": 0, "preview": 1, "hash": 2, "none": 3}


def policy_of(given: Capture) -> Policy:
    """The policy that an option of a decorator names.

    Raises:
        ValueError: it is none of them.
    """
    if given is True or given is False:
        return "full" if given else "none"
    if type(given) is not str or given not in _STRICTNESS:
        raise ValueError(
            f"capture is {text(given)!r}; use True, False or one of {get_args(Policy)}"
        )
    return given


def stricter(one: Policy, other: Policy) -> Policy:
    """The policy that records less."""
    if one == other:
        return one
    return one if _STRICTNESS[one] >= _STRICTNESS[other] else other


def capture_as(policy: Policy, value: Any, limit_bytes: int) -> tuple[str | Json, int] | None:
    """:func:`freeze` as far as ``policy`` allows; None when nothing is to be recorded."""
    if policy == "full":
        return freeze(value, limit_bytes)
    if policy == "preview":
        return freeze(value, min(limit_bytes, PREVIEW_BYTES))
    if policy == "hash":
        return hashed(*capture(value, limit_bytes)), 0
    return None


def hashed(text: str, cut_bytes: int = 0) -> str:
    """What stands for a payload that is recorded as its hash: equal payloads have equal ones."""
    size_bytes = len(text.encode("utf-8", "replace")) + cut_bytes
    return f'{{"$hash":"{fingerprint(text, 32)}","bytes":{size_bytes}}}'
