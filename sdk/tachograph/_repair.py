"""The repair loop: feedback goes back to the model until its answer passes, or attempts run out."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any, Self

from tachograph._blocks import AsyncToo
from tachograph._facts import begin, misused
from tachograph._failure import safe_text
from tachograph._given import number, text
from tachograph._spans import Activation, SpanHandle
from tachograph_schemas import names

_FEEDBACK_LIMIT_CHARS = 16_384


class Repair(AsyncToo):
    """A repair loop being recorded; see :func:`repair`."""

    def __init__(self, what: str, max_attempts: int) -> None:
        most = number(max_attempts)
        if most is None or not 1 <= most < math.inf:
            misused("repair", f"max_attempts is {text(max_attempts)}; a repair needs at least one")
            most = 1
        self.what = what
        self.max_attempts = int(most)
        self.attempts = 0
        self.outcome: str | None = None
        """``repaired`` or ``gave_up``; None until it is decided."""
        self._handle: SpanHandle | None = None
        self._activation: Activation | None = None

    def attempt(self, feedback: Any) -> bool:
        """Note one more attempt with the feedback given for it; False when none is left.

        ``while not valid and loop.attempt(errors): answer = ask_again(errors)``.
        """
        if self.attempts >= self.max_attempts:
            self.outcome = "gave_up"
            return False
        self.attempts += 1
        if self._handle is not None:
            said = ""
            self._handle.set({names.REPAIR_ATTEMPT: self.attempts})
            if issubclass(type(feedback), str) and self._handle.records_payloads:
                said = safe_text(feedback, _FEEDBACK_LIMIT_CHARS)
                self._handle.set({names.REPAIR_FEEDBACK: said})
            else:
                self._handle.set_json(names.REPAIR_FEEDBACK, feedback)
            self._handle.add_event(
                "tacho.repair.attempt",
                {names.REPAIR_ATTEMPT: self.attempts, names.REPAIR_FEEDBACK: said},
            )
        return True

    def repaired(self) -> None:
        """Say that the answer passes now."""
        self.outcome = "repaired"

    def gave_up(self, reason: str = "") -> None:
        """Say that it will not be repaired."""
        self.outcome = "gave_up"
        if self._handle is not None:
            self._handle.set({names.REASON: safe_text(reason) or None})

    def __enter__(self) -> Self:
        self._handle = begin("repair", self.what, {names.REPAIR_MAX_ATTEMPTS: self.max_attempts})
        self._activation = self._handle.active()
        self._activation.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._handle is not None
        assert self._activation is not None
        self._activation.__exit__(kind, error, trace)
        if error is not None:
            self.outcome = "gave_up"
            self._handle.record_error(error)
        self.outcome = self.outcome or "repaired"
        self._handle.set({names.REPAIR_ATTEMPT: self.attempts, names.REPAIR_OUTCOME: self.outcome})
        self._handle.end()


def repair(what: str, max_attempts: int = 3) -> Repair:
    """Record a repair loop; model calls made in the block nest under it.

    ::

        with tacho.repair("contract terms", max_attempts=3) as loop:
            while (problem := check(answer)) and loop.attempt(problem):
                answer = ask_again(problem)

    Leaving the block means ``repaired``, unless ``attempt`` returned False, ``gave_up()`` was called or
    an exception escapes. Works with ``async with`` too.
    """
    return Repair(what, max_attempts)
