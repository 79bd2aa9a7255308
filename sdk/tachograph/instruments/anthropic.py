"""Records every call of the official Anthropic client as one model span.

The seam is the client's own ``request`` method, sync and async, filtered to ``POST /v1/messages``. Every
way to ask a model goes through it: ``create``, ``stream``, ``parse``, the beta messages, the tool runner,
``with_raw_response``, ``with_streaming_response``, the Bedrock and Vertex clients. What callers see stays
as it was: same types, same exceptions, and warnings that point at the caller's line.

The client (since 1.17) makes an OpenTelemetry span of its own for each call. A call recorded here does
without: the request is sent on with no span name, which is the client's own mark of a request that gets no
span. Its other calls (files, batches, ...) keep theirs, and an application that records nothing keeps all.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from opentelemetry import trace

from tachograph._budget import before_call
from tachograph._frame import frame_of
from tachograph._guard import guarded
from tachograph._spans import open_span
from tachograph.instruments._anthropic_call import ModelCall, asks_a_model
from tachograph_schemas import names

try:
    from anthropic import _base_client
except ImportError as error:
    raise ImportError(
        'The Anthropic client is not installed. Install it with: pip install "tachograph[anthropic]"'
    ) from error

_MARK = "__tachograph_instrument__"
_install_lock = threading.Lock()


def install() -> None:
    """Wrap the client's classes. Idempotent, thread-safe; clients that exist already are covered too."""
    with _install_lock:
        _wrap(_base_client.SyncAPIClient, "request", _recorded_request)
        _wrap(_base_client.AsyncAPIClient, "request", _recorded_async_request)
        _wrap(_base_client.SyncAPIClient, "_sleep_for_retry", _recorded_retry)
        _wrap(_base_client.AsyncAPIClient, "_sleep_for_retry", _recorded_async_retry)


def uninstall() -> None:
    """Give the client its own methods back."""
    with _install_lock:
        for owner in (_base_client.SyncAPIClient, _base_client.AsyncAPIClient):
            for name in ("request", "_sleep_for_retry"):
                original = getattr(getattr(owner, name, None), _MARK, None)
                if original is not None:
                    setattr(owner, name, original)


def _wrap(owner: type, name: str, wrapper: Callable[[Any], Any]) -> None:
    original = getattr(owner, name, None)
    # A client without the method has nothing to say there; requests alone are indispensable.
    if original is None or hasattr(original, _MARK):
        return
    wrapped = functools.wraps(original)(wrapper(original))
    setattr(wrapped, _MARK, original)
    setattr(owner, name, wrapped)


def _recorded_request(original: Callable[..., Any]) -> Callable[..., Any]:
    def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        if not asks_a_model(options):
            return original(self, cast_to, options, *args, **kwargs)
        before_call("model")
        call = ModelCall(self, options)
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


def _recorded_async_request(original: Callable[..., Any]) -> Callable[..., Any]:
    async def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        if not asks_a_model(options):
            return await original(self, cast_to, options, *args, **kwargs)
        before_call("model")
        call = ModelCall(self, options)
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


def _recorded_retry(original: Callable[..., Any]) -> Callable[..., Any]:
    def _sleep_for_retry(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _RetrySpan(kwargs):
            return original(self, *args, **kwargs)

    return _sleep_for_retry


def _recorded_async_retry(original: Callable[..., Any]) -> Callable[..., Any]:
    async def _sleep_for_retry(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _RetrySpan(kwargs):
            return await original(self, *args, **kwargs)

    return _sleep_for_retry


class _RetrySpan:
    """A ``retry`` span as long as the client waits before it sends a model call again."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._handle = None
        with guarded("recording a retry of the client"):
            if frame_of().layer != "model" or not asks_a_model(arguments.get("options")):
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
