"""The seams of a generated client: its ``request`` and its pause between two attempts, sync and async.

Every way to ask a model goes through ``request``: raw, streamed and parsed answers, tool runners, clients of
other clouds. What callers see stays as it was: same types, same exceptions, and warnings that point at the
caller's line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry import trace

from tachograph import _orders, _spending
from tachograph._frame import frame_of
from tachograph._guard import guarded
from tachograph._spans import open_span
from tachograph._spending import before_call
from tachograph.instruments._dialect import Dialect
from tachograph.instruments._model_call import ModelCall, estimated
from tachograph.instruments._patch import LOCK, unwrap, wrap
from tachograph_schemas import names

DialectOf = Callable[[Any], Dialect | None]
"""The dialect of a request by its options; None for requests that ask no model."""

_CLASSES = ("SyncAPIClient", "AsyncAPIClient")


def install_on(base_client: Any, dialect_of: DialectOf) -> None:
    """Wrap the client's classes. Idempotent, thread-safe; clients that exist already are covered too."""
    with LOCK:
        wrap(base_client.SyncAPIClient, "request", _recorded_request(dialect_of))
        wrap(base_client.AsyncAPIClient, "request", _recorded_async_request(dialect_of))
        wrap(base_client.SyncAPIClient, "_sleep_for_retry", _recorded_retry(dialect_of))
        wrap(base_client.AsyncAPIClient, "_sleep_for_retry", _recorded_async_retry(dialect_of))


def uninstall_from(base_client: Any) -> None:
    """Give the client its own methods back."""
    with LOCK:
        for name in _CLASSES:
            unwrap(getattr(base_client, name), "request", "_sleep_for_retry")


def dialects_by_path(dialects: dict[str, Dialect]) -> DialectOf:
    """Tells by the path that a request is posted to."""

    def dialect_of(options: Any) -> Dialect | None:
        url = getattr(options, "url", None)
        if not isinstance(url, str) or getattr(options, "method", "").lower() != "post":
            return None
        return dialects.get(url.partition("?")[0])

    return dialect_of


def _recorded_request(dialect_of: DialectOf) -> Callable[[Any], Any]:
    def recorded(original: Callable[..., Any]) -> Callable[..., Any]:
        def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
            dialect = dialect_of(options)
            if dialect is None:
                return original(self, cast_to, options, *args, **kwargs)
            hold = before_call("model", lambda: estimated(dialect, self, options))
            call = ModelCall(dialect, self, options, hold)
            if not call.recording:
                return original(self, cast_to, options, *args, **kwargs)
            try:
                with call.active():
                    prepare = getattr(self, "_copy_and_prepare", None)
                    prepared = options if prepare is None else prepare(options)
                    prepared = call.sending(prepared)
                    result = original(self, cast_to, prepared, *args, **kwargs)
            except BaseException as error:
                call.failed(error)
                raise
            call.returned(result)
            return result

        return request

    return recorded


def _recorded_async_request(dialect_of: DialectOf) -> Callable[[Any], Any]:
    def recorded(original: Callable[..., Any]) -> Callable[..., Any]:
        async def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
            dialect = dialect_of(options)
            if dialect is None:
                return await original(self, cast_to, options, *args, **kwargs)
            if _orders.in_force:
                await _orders.obey_async("model")
            if _spending.asks():
                await _spending.ask_first(
                    "model", estimate=lambda: estimated(dialect, self, options)
                )
            hold = before_call("model", lambda: estimated(dialect, self, options))
            call = ModelCall(dialect, self, options, hold)
            if not call.recording:
                return await original(self, cast_to, options, *args, **kwargs)
            try:
                with call.active():
                    prepare = getattr(self, "_copy_and_prepare", None)
                    prepared = options if prepare is None else await prepare(options)
                    prepared = call.sending(prepared)
                    result = await original(self, cast_to, prepared, *args, **kwargs)
            except BaseException as error:
                call.failed(error)
                raise
            call.returned(result)
            return result

        return request

    return recorded


def _recorded_retry(dialect_of: DialectOf) -> Callable[[Any], Any]:
    def recorded(original: Callable[..., Any]) -> Callable[..., Any]:
        def _sleep_for_retry(self: Any, *args: Any, **kwargs: Any) -> Any:
            with _RetrySpan(dialect_of, kwargs):
                return original(self, *args, **kwargs)

        return _sleep_for_retry

    return recorded


def _recorded_async_retry(dialect_of: DialectOf) -> Callable[[Any], Any]:
    def recorded(original: Callable[..., Any]) -> Callable[..., Any]:
        async def _sleep_for_retry(self: Any, *args: Any, **kwargs: Any) -> Any:
            with _RetrySpan(dialect_of, kwargs):
                return await original(self, *args, **kwargs)

        return _sleep_for_retry

    return recorded


class _RetrySpan:
    """A ``retry`` span as long as the client waits before it sends a model call again."""

    def __init__(self, dialect_of: DialectOf, arguments: dict[str, Any]) -> None:
        self._handle = None
        with guarded("recording a retry of the client"):
            if frame_of().layer != "model" or dialect_of(arguments.get("options")) is None:
                return
            attempt = int(arguments.get("retries_taken", 0)) + 1
            response = arguments.get("response")
            status = getattr(response, "status_code", None)
            facts = {
                names.RETRY_OF: "model call",
                names.RETRY_ATTEMPT: attempt,
                names.HTTP_RESPONSE_STATUS_CODE: status,
                names.REASON: f"status {status}" if status is not None else "no answer",
            }
            trace.get_current_span().set_attribute(names.HTTP_REQUEST_RESEND_COUNT, attempt)
            self._handle = open_span("retry", "retry model call", facts)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            self._handle.end()
