"""What a tape has looked through already, for the spans that carry the same bytes: no text is screened twice."""

from __future__ import annotations

from collections.abc import Callable

from tachograph import _otlp

_LIMIT_BYTES = 8 << 20
"""Of what is remembered; then all of it is forgotten, and those spans are screened as a whole."""
_SHORTEST_BYTES = 64
"""Shorter texts are screened again: it costs less, and no mark of a secret is so long that one could be cut out of it."""


class Screened:
    """Payloads that hold nothing to mask, by the id of their span. Any thread may use it."""

    def __init__(self) -> None:
        self._found: dict[int, list[bytes]] = {}
        self._size_bytes = 0
        self.catch_up: Callable[[], None] | None = None
        """Screens what tapes have waiting. To be called before spans are looked at."""

    def note(self, span_id: int, payload: bytes) -> None:
        """There is nothing to mask in this payload of a span."""
        if len(payload) < _SHORTEST_BYTES:
            return
        self._size_bytes += len(payload)
        if self._size_bytes > _LIMIT_BYTES:
            self._found.clear()
            self._size_bytes = len(payload)
        self._found.setdefault(span_id, []).append(payload)

    def rest_of(self, span: bytes) -> bytes:
        """What is left to be screened of a span, as OTLP. Its payloads are forgotten."""
        if not self._found:
            return span
        for payload in self._found.pop(_otlp.span_id_of(span), ()):
            self._size_bytes -= len(payload)
            at = span.find(payload[:_SHORTEST_BYTES])
            # As a value of its own, which the tag of a text and its length stand before.
            head = _otlp.TEXT_TAG + _otlp.varint(len(payload))
            if span.startswith(payload, at) and span.endswith(head, 0, at):
                span = span[:at] + span[at + len(payload) :]
        return span
