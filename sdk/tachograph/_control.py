"""The line to the collector's control API: whom to ask, and how what is asked is kept clean of secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, attach, detach

from tachograph._capture import capture
from tachograph._policy import Policy

if TYPE_CHECKING:
    from tachograph._redact import Redactor
    from tachograph_schemas.control_client import ControlClient

SHOWN_LIMIT_BYTES = 256 << 10
"""Of the arguments that a person decides on: they are shown whole or not decided on at all."""


@dataclass(frozen=True, slots=True)
class Line:
    """How this process reaches people."""

    client: ControlClient
    redactor: Redactor
    approver: str
    """``inbox`` when approvals go there unless told otherwise."""
    approval_timeout_s: float
    approval_budget_s: float
    """How long one run may wait for people in all, seconds; 0: no limit."""
    capture_policy: Policy

    def masked(self, key: str, text: str) -> str:
        """``text`` without its secrets."""
        return self.redactor.redact(key, text)[0]

    def masked_json(self, key: str, value: Any, limit_bytes: int) -> tuple[str, str, int]:
        """``value`` as JSON, the same without its secrets, and how many bytes were cut off."""
        exact, cut_bytes = capture(value, limit_bytes)
        shown = self.masked(key, exact)
        try:
            json.loads(shown)
        except ValueError:
            # A rule of the user's masked across the JSON's own marks.
            shown = json.dumps(shown)
        return exact, shown, cut_bytes


@contextmanager
def unrecorded() -> Iterator[None]:
    """Calls of ours in this block are nobody's business: no instrumentation makes spans of them."""
    token = attach(Context({_SUPPRESS_INSTRUMENTATION_KEY: True}))
    try:
        yield
    finally:
        detach(token)


_line: Line | None = None


def line() -> Line | None:
    """The line in use; None when the SDK is off."""
    return _line


def connect(new: Line | None) -> None:
    """Use ``new`` from now on; None: nobody can be asked."""
    global _line
    _line = new
