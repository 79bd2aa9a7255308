"""One call of a model's client, from the request to the last thing its caller saw of the answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import SpanKind

from tachograph._budget_state import Hold
from tachograph._estimate import Estimate, most_tokens, size_of, tokens_in
from tachograph._guard import guarded
from tachograph._spans import Activation, open_span
from tachograph._spending import add_usage
from tachograph.instruments._client_response import message_fields
from tachograph.instruments._dialect import Dialect, Fields, Usage
from tachograph.instruments._reported import ReportedError
from tachograph_schemas import names


class ModelCall:
    """The model span of one call. It is ended exactly once, by whichever comes first:
    an error, the whole answer, or the caller letting go of a stream.
    """  # fmt: skip

    def __init__(
        self, dialect: Dialect, client: Any, options: Any, hold: Hold | None = None
    ) -> None:
        self.dialect = dialect
        body = _body(options)
        self._client = client
        self._model = str(body.get("model") or "")
        self._provider = dialect.provider_of(client)
        self._parsed: Any = None
        self._started_s = time.monotonic()
        self._ended = False
        self._handle = open_span(
            "model",
            f"chat {self._model}",
            self._first_facts(),
            kind=SpanKind.CLIENT,
            hold=hold,
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
                # Merged into the body already, except by older clients.
                extra = getattr(options, "extra_json", None)
                self._record_request({**body, **extra} if isinstance(extra, Mapping) else body)
            return self._noting_the_parsed(self.dialect.sent(self._client, options))
        return options

    def first_chunk(self) -> None:
        """The stream brought its first piece of content."""
        elapsed_s = time.monotonic() - self._started_s
        self._handle.set({names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK_S: round(elapsed_s, 6)})

    def returned(self, result: Any) -> None:
        """The client handed ``result`` to its caller: a message, a stream, or a raw response."""
        with guarded("recording an answer of the model"):
            # Imported here because streams end calls, and so know this module.
            from tachograph.instruments._client_stream import watch_raw, watch_stream

            response = getattr(result, "http_response", None)
            if is_stream(result):
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
        request_id = request_id or headers.get(self.dialect.request_id_header)
        self._handle.set({self.dialect.request_id_name: request_id})

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
                message = message or self._what_was_parsed()
                if message:
                    self._record_answer(message)
                self._handle.set(self._error_facts(error))
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

    def _noting_the_parsed(self, options: Any) -> Any:
        """A copy of the options whose parser tells us what it got: should it refuse, tokens were spent."""
        parse = getattr(options, "post_parser", None)
        if not callable(parse):
            return options

        def parse_noted(answer: Any) -> Any:
            self._parsed = answer
            return parse(answer)

        return options.model_copy(update={"post_parser": parse_noted})

    def _what_was_parsed(self) -> Fields:
        return {} if self._parsed is None else message_fields(self._parsed)

    def _error_facts(self, error: BaseException) -> dict[str, Any]:
        """What the API said about a refused request; nothing for errors without an answer."""
        return {
            names.HTTP_RESPONSE_STATUS_CODE: getattr(error, "status_code", None),
            self.dialect.request_id_name: getattr(error, "request_id", None),
            **self.dialect.error_facts(error),
        }

    def _record_request(self, body: Fields) -> None:
        facts = self.dialect.request_facts(body)
        facts[names.GEN_AI_REQUEST_STREAM] = True if body.get("stream") else None
        model = str(body.get("model") or "")
        if model != self._model:
            # ``extra_body`` may have named another one.
            self._model = model
            self._handle.rename(f"chat {model}")
            facts[names.GEN_AI_REQUEST_MODEL] = model
        self._handle.set(facts)
        for attribute, value in self.dialect.request_payloads(body):
            if value:
                self._handle.set_json(attribute, value)

    def _record_answer(self, message: Fields) -> None:
        self._handle.set(self.dialect.answer_facts(message))
        output = self.dialect.output(message)
        if output:
            self._handle.set_json(names.GEN_AI_OUTPUT_MESSAGES, output)
        usage = self.dialect.usage(message)
        if usage is not None:
            self._record_usage(usage, str(message.get("model") or self._model))
        problem = self.dialect.problem(message)
        if problem is not None:
            self._handle.record_error(ReportedError(problem))

    def _record_usage(self, usage: Usage, model: str) -> None:
        self._handle.set(
            {
                names.GEN_AI_USAGE_INPUT_TOKENS: usage.prompt,
                names.GEN_AI_USAGE_OUTPUT_TOKENS: usage.output,
                names.GEN_AI_USAGE_CACHE_READ_TOKENS: usage.cache_read,
                names.GEN_AI_USAGE_CACHE_WRITE_TOKENS: usage.cache_write,
                names.GEN_AI_USAGE_REASONING_TOKENS: usage.reasoning,
                **(usage.raw or {}),
            }
        )
        # A stream may end anywhere; the budgets to charge are those around the call.
        with self._handle.active():
            add_usage(
                input_tokens=usage.prompt,
                output_tokens=usage.output,
                cache_read_tokens=usage.cache_read,
                cache_write_tokens=usage.cache_write,
                model=model,
                provider=self._provider,
            )


def estimated(dialect: Dialect, client: Any, options: Any) -> Estimate:
    """What a request may use at most."""
    body = _body(options)
    return Estimate(
        tokens_in(size_of(body)),
        most_tokens(body),
        str(body.get("model") or ""),
        dialect.provider_of(client) or "",
    )


def _body(options: Any) -> Mapping[str, Any]:
    given = getattr(options, "json_data", None)
    return given if isinstance(given, Mapping) else {}


def is_stream(result: Any) -> bool:
    """Whether the client handed out a stream of events."""
    return hasattr(result, "_iterator") and hasattr(result, "response")
