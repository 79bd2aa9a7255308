"""A local server that speaks the Anthropic Messages API, so that the demo runs without an account.

The official client talks to it unmodified: JSON and server-sent events, tool use, prompt caching, errors in
the API's shape with ``retry-after``. What the model "says" is decided by scripts that read the conversation
(:mod:`tachograph.demo.conversation`); ids and token counts depend on the request alone, so two recordings
of a demo are the same. It binds to loopback only and is no part of a production installation.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from tachograph.demo.answer import message_of, stable_id
from tachograph.demo.conversation import Block, Fault, Script, Text, conversation_of
from tachograph.demo.model_http import HttpServer
from tachograph.demo.prompt_cache import PromptCache, canonical
from tachograph.demo.validation import invalid_reason

MODELS = ("claude-haiku-4-5", "claude-haiku-4-5-20251001", "claude-sonnet-4-5", "claude-haiku-5-5")


class ModelServer:
    """The server. Use it as a context manager, or call :meth:`start` and :meth:`close`.

    Args:
        scripts: asked in order; the first that answers a conversation decides what is said.
        models: names that are known; others get 404 ``not_found_error``.
        api_key: the only key accepted; without it any key that is not empty is.
        seed: enters every id.
        seconds_per_token: pace of the answers, so that demo timelines look like a model's.
        min_cacheable_tokens: shorter prompt prefixes are not cached, as with the real API.
    """

    def __init__(
        self,
        scripts: Sequence[Script] = (),
        *,
        models: Sequence[str] = MODELS,
        api_key: str | None = None,
        seed: int = 0,
        seconds_per_token: float = 0.0,
        min_cacheable_tokens: int = 1024,
    ) -> None:
        self.seconds_per_token = seconds_per_token
        self.requests: list[dict[str, Any]] = []
        """The body of every ``POST /v1/messages`` received, refused ones included."""
        self._scripts = tuple(scripts)
        self._models = frozenset(models)
        self._api_key = api_key
        self._seed = str(seed)
        self._cache = PromptCache(min_cacheable_tokens)
        self._faults: deque[Fault] = deque()
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._http = HttpServer(self)
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name="tacho-demo-model", daemon=True
        )

    @property
    def url(self) -> str:
        """The base URL to give to the client."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def start(self) -> Self:
        """Serve in a background thread."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop serving and close every connection. Waits for the answers under way."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def fail_next(self, fault: Fault, times: int = 1) -> None:
        """Answer the next ``times`` requests with ``fault``, whatever they ask."""
        with self._lock:
            self._faults.extend([fault] * times)

    def check(self, path: str, key: str, body: dict[str, Any]) -> Fault | None:
        """What is wrong with a request, or the fault that was asked for."""
        if not key or (self._api_key is not None and key != self._api_key):
            return Fault(401, "authentication_error", "invalid x-api-key")
        reason = invalid_reason(body, counting=path.endswith("/count_tokens"))
        if reason is not None:
            return Fault(400, "invalid_request_error", reason)
        if body["model"] not in self._models:
            return Fault(404, "not_found_error", f"model: {body['model']}")
        with self._lock:
            return self._faults.popleft() if self._faults else None

    def answer(self, body: Mapping[str, Any]) -> dict[str, Any] | Fault:
        """The message that answers a valid ``body``, or the fault that its script chose."""
        blocks = self._say(body)
        if isinstance(blocks, Fault):
            return blocks
        return message_of(blocks, self._cache.bill(body), body, self.identify("msg", body))

    def identify(self, prefix: str, body: Mapping[str, Any]) -> str:
        """An id that depends on the seed, the body and how often that body has come."""
        text = canonical(body)
        with self._lock:
            self._seen[prefix + text] += 1
            return stable_id(prefix, self._seed, text, str(self._seen[prefix + text]))

    def _say(self, body: Mapping[str, Any]) -> Sequence[Block] | Fault:
        conversation = conversation_of(body)
        for script in self._scripts:
            if script.answers(conversation):
                return script.reply(conversation)
        return [Text("I have read your message. No script of this server knows this conversation.")]
