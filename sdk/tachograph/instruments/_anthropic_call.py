"""One call of the Anthropic client, from the request to the last thing its caller saw of the answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from opentelemetry import propagate
from opentelemetry.trace import SpanKind

from tachograph._budget import add_usage
from tachograph._guard import guarded
from tachograph._spans import Activation, open_span
from tachograph.instruments._anthropic_messages import (
    input_messages,
    output_messages,
    system_instructions,
    tool_definitions,
)
from tachograph.instruments._anthropic_response import message_fields
from tachograph_schemas import names

PATH = "/v1/messages"
_REQUEST_FIELDS = {
    "max_tokens": names.GEN_AI_REQUEST_MAX_TOKENS,
    "temperature": names.GEN_AI_REQUEST_TEMPERATURE,
    "top_p": names.GEN_AI_REQUEST_TOP_P,
    "top_k": names.GEN_AI_REQUEST_TOP_K,
}


def asks_a_model(options: Any) -> bool:
    """Whether these request options ask a model for a message."""
    url = getattr(options, "url", None)
    method = getattr(options, "method", "")
    return isinstance(url, str) and url.partition("?")[0] == PATH and method.lower() == "post"


class ModelCall:
    """The model span of one call. It is ended exactly once, by whichever comes first:
    an error, the whole answer, or the caller letting go of a stream.
    """  # fmt: skip

    def __init__(self, client: Any, options: Any) -> None:
        given = getattr(options, "json_data", None)
        body = given if isinstance(given, Mapping) else {}
        self._client = client
        self._model = str(body.get("model") or "")
        self._provider = _provider_of(client)
        self._started_s = time.monotonic()
        self._ended = False
        self._handle = open_span(
            "model", f"chat {self._model}", self._first_facts(), kind=SpanKind.CLIENT
        )

    @property
    def recording(self) -> bool:
        """False when the SDK is off: the call is then left entirely alone."""
        return self._handle.recording

    @property
    def ended(self) -> bool:
        """Whether the span has its end."""
        return self._ended

    def active(self) -> Activation:
        """Make the span current while the request is under way."""
        return self._handle.active()

    def sending(self, options: Any) -> Any:
        """Freeze the prepared request; returns the options to send it with."""
        with guarded("recording a request to the model"):
            body = options.json_data
            if isinstance(body, Mapping):
                # Merged into the body already, except by clients older than 1.17.
                extra = getattr(options, "extra_json", None)
                self._record_request({**body, **extra} if isinstance(extra, Mapping) else body)
            return self._without_the_clients_span(options)
        return options

    def first_chunk(self) -> None:
        """The stream brought its first piece of content."""
        elapsed_s = time.monotonic() - self._started_s
        self._handle.set({names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK_S: round(elapsed_s, 6)})

    def returned(self, result: Any) -> None:
        """The client handed ``result`` to its caller: a message, a stream, or a raw response."""
        with guarded("recording an answer of the model"):
            # Imported here because streams end calls, and so know this module.
            from tachograph.instruments._anthropic_stream import watch_raw, watch_stream

            response = getattr(result, "http_response", None)
            if _is_stream(result):
                self.heard_from(result.response)
                watch_stream(self, result)
            elif response is not None:
                self.heard_from(response)
                watch_raw(self, result)
            else:
                self.heard_from(None, getattr(result, "_request_id", None))
                self.answered(message_fields(result))
            return
        self.end()

    def heard_from(self, response: Any, request_id: str | None = None) -> None:
        """Take the request id from the answer's headers, or as given."""
        headers = getattr(response, "headers", None) or {}
        self._handle.set({names.ANTHROPIC_REQUEST_ID: request_id or headers.get("request-id")})

    def answered(self, message: Mapping[str, Any], *, abandoned: bool = False) -> None:
        """Record the answer, or as much of it as came, charge the budgets, and end the span."""
        if self._ended:
            return
        try:
            with guarded("recording an answer of the model"):
                self._record_answer(message)
                if abandoned:
                    self._handle.set({names.ABANDONED: True})
        finally:
            self.end()

    def failed(self, error: BaseException, message: Mapping[str, Any] | None = None) -> None:
        """Record an error, and what had come of the answer before it, and end the span."""
        if self._ended:
            return
        try:
            with guarded("recording an error of the model"):
                if message:
                    self._record_answer(message)
                self._handle.set(_error_facts(error))
                self._handle.record_error(error)
        finally:
            self.end()

    def end(self) -> None:
        """End the span with what it has."""
        self._ended = True
        self._handle.end()

    def _first_facts(self) -> dict[str, Any]:
        url = getattr(self._client, "base_url", None)
        return {
            names.GEN_AI_OPERATION_NAME: "chat",
            names.GEN_AI_PROVIDER_NAME: self._provider,
            names.GEN_AI_REQUEST_MODEL: self._model,
            names.SERVER_ADDRESS: getattr(url, "host", None),
        }

    def _record_request(self, body: Mapping[str, Any]) -> None:
        facts = {attribute: body.get(field) for field, attribute in _REQUEST_FIELDS.items()}
        if body.get("stop_sequences"):
            facts[names.GEN_AI_REQUEST_STOP_SEQUENCES] = list(body["stop_sequences"])
        facts[names.GEN_AI_REQUEST_STREAM] = True if body.get("stream") else None
        model = str(body.get("model") or "")
        if model != self._model:
            # ``extra_body`` may have named another one.
            self._model = model
            self._handle.rename(f"chat {model}")
            facts[names.GEN_AI_REQUEST_MODEL] = model
        self._handle.set(facts)
        for attribute, value in (
            (names.GEN_AI_SYSTEM_INSTRUCTIONS, system_instructions(body.get("system"))),
            (names.GEN_AI_INPUT_MESSAGES, input_messages(body.get("messages"))),
            (names.GEN_AI_TOOL_DEFINITIONS, tool_definitions(body.get("tools"))),
        ):
            if value:
                self._handle.set_json(attribute, value)

    def _without_the_clients_span(self, options: Any) -> Any:
        """A copy of the options that makes no span; the trace context still travels where it did."""
        if getattr(options, "span_name", None) is None:
            return options
        update: dict[str, Any] = {"span_name": None}
        settings = getattr(self._client, "_open_telemetry", None) or {}
        if settings.get("propagation") and getattr(self._client, "_tracer", None) is not None:
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            given = options.headers if isinstance(options.headers, Mapping) else {}
            update["headers"] = {**given, **carrier}
        return options.model_copy(update=update)

    def _record_answer(self, message: Mapping[str, Any]) -> None:
        reason = message.get("stop_reason")
        self._handle.set(
            {
                names.GEN_AI_RESPONSE_ID: message.get("id"),
                names.GEN_AI_RESPONSE_MODEL: message.get("model"),
                names.GEN_AI_RESPONSE_FINISH_REASONS: [reason] if reason else None,
            }
        )
        if message.get("content"):
            self._handle.set_json(names.GEN_AI_OUTPUT_MESSAGES, output_messages(message))
        usage = message.get("usage")
        if isinstance(usage, Mapping):
            self._record_usage(usage, str(message.get("model") or self._model))

    def _record_usage(self, usage: Mapping[str, Any], model: str) -> None:
        read = usage.get("cache_read_input_tokens")
        write = usage.get("cache_creation_input_tokens")
        fresh = usage.get("input_tokens")
        split = usage.get("cache_creation") or {}
        # The API counts the classes apart; the convention's input is all of the prompt.
        prompt = None if fresh is None else fresh + (read or 0) + (write or 0)
        details = usage.get("output_tokens_details") or {}
        self._handle.set(
            {
                names.GEN_AI_USAGE_INPUT_TOKENS: prompt,
                names.GEN_AI_USAGE_OUTPUT_TOKENS: usage.get("output_tokens"),
                names.GEN_AI_USAGE_CACHE_READ_TOKENS: read,
                names.GEN_AI_USAGE_CACHE_WRITE_TOKENS: write,
                names.GEN_AI_USAGE_REASONING_TOKENS: details.get("thinking_tokens"),
                names.ANTHROPIC_CACHE_WRITE_5M_TOKENS: split.get("ephemeral_5m_input_tokens"),
                names.ANTHROPIC_CACHE_WRITE_1H_TOKENS: split.get("ephemeral_1h_input_tokens"),
            }
        )
        # A stream may end anywhere; the budgets to charge are those around the call.
        with self._handle.active():
            add_usage(
                input_tokens=prompt,
                output_tokens=usage.get("output_tokens"),
                cache_read_tokens=read,
                cache_write_tokens=write,
                model=model,
                provider=self._provider,
            )


def _is_stream(result: Any) -> bool:
    from anthropic import AsyncStream, Stream

    return isinstance(result, (Stream, AsyncStream))


def _provider_of(client: Any) -> str:
    named = getattr(getattr(client, "_otel", None), "provider_name", None)
    return named if isinstance(named, str) else "anthropic"


def _error_facts(error: BaseException) -> dict[str, Any]:
    """What the API said about a refused request; nothing for errors without an answer."""
    return {
        names.HTTP_RESPONSE_STATUS_CODE: getattr(error, "status_code", None),
        names.ANTHROPIC_ERROR_TYPE: getattr(error, "type", None),
        names.ANTHROPIC_REQUEST_ID: getattr(error, "request_id", None),
    }
