"""Records what instructor does to get valid data: each verdict, and the loop that repairs.

An answer that passes at once is one validation. The first one that fails opens a repair span, and what the model is
asked again nests in it. The retries of the library underneath are the same loop and are not recorded twice.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

from instructor.v2.core import patch
from instructor.v2.core.hooks import Hooks

from tachograph._failure import safe_text
from tachograph._frame import frame_of
from tachograph._guard import guarded
from tachograph._repair import Repair
from tachograph.instruments import _told_elsewhere
from tachograph.instruments._patch import LOCK, unwrap, wrap
from tachograph.instruments._validated import problems, record_validation

_current: ContextVar[_Loop | None] = ContextVar("tachograph-instructor", default=None)


def install() -> None:
    """Record every patched client, those that exist already too. Idempotent."""
    with LOCK:
        wrap(patch, "retry_sync_v2", _recorded)
        wrap(patch, "retry_async_v2", _recorded_async)
        wrap(Hooks, "emit_parse_error", _recorded_verdict)
        _told_elsewhere.LOOPS.add("instructor")


def uninstall() -> None:
    """Leave instructor alone."""
    with LOCK:
        unwrap(patch, "retry_sync_v2", "retry_async_v2")
        unwrap(Hooks, "emit_parse_error")
        _told_elsewhere.LOOPS.discard("instructor")


class _Loop:
    """One answer on its way to being valid."""

    def __init__(self, model: Any) -> None:
        self._model = safe_text(getattr(model, "__name__", model), 200)
        self._repair: Repair | None = None

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _current.reset(self._token)
        with guarded("recording a validated answer"):
            if error is None:
                record_validation(self._model, None)
            if self._repair is not None:
                self._repair.__exit__(kind, error, trace)

    def refused(self, error: BaseException, attempts: Any, *, last: bool) -> None:
        """An answer did not pass."""
        record_validation(self._model, error)
        if last:
            return
        if self._repair is None:
            # The first answer is none of the repairs.
            most = attempts - 1 if isinstance(attempts, int) else _UNKNOWN
            self._repair = Repair(self._model, most)
            self._repair.__enter__()
        self._repair.attempt(problems(error) or safe_text(error))


_UNKNOWN = 100
"""Attempts of a loop that was given as a tenacity object, which does not say how many it makes."""


def _recorded(original: Callable[..., Any]) -> Callable[..., Any]:
    def retry_sync_v2(*args: Any, **kwargs: Any) -> Any:
        if _left_alone(kwargs):
            return original(*args, **kwargs)
        with _Loop(kwargs["response_model"]):
            return original(*args, **_heard(kwargs))

    return retry_sync_v2


def _recorded_async(original: Callable[..., Any]) -> Callable[..., Any]:
    async def retry_async_v2(*args: Any, **kwargs: Any) -> Any:
        if _left_alone(kwargs):
            return await original(*args, **kwargs)
        with _Loop(kwargs["response_model"]):
            return await original(*args, **_heard(kwargs))

    return retry_async_v2


def _recorded_verdict(original: Callable[..., Any]) -> Callable[..., Any]:
    def emit_parse_error(self: Any, error: Exception, **kwargs: Any) -> None:
        original(self, error, **kwargs)
        loop = _current.get()
        if loop is not None:
            with guarded("recording a refused answer"):
                last = bool(kwargs.get("is_last_attempt"))
                loop.refused(error, kwargs.get("max_attempts"), last=last)

    return emit_parse_error


def _left_alone(kwargs: dict[str, Any]) -> bool:
    return kwargs.get("response_model") is None or frame_of().run is None


def _heard(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Verdicts are told to the hooks of a call, where it has any."""
    return kwargs if kwargs.get("hooks") else {**kwargs, "hooks": Hooks()}
