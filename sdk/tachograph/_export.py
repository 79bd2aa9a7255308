"""Batches of spans to the collector: encode, redact, split what is too large, post, judge the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

from tachograph import _otlp
from tachograph._guard import contain, say_rarely
from tachograph._kept import Kept, new_name
from tachograph._screened import Screened
from tachograph._segment import FOREIGN, Record
from tachograph_schemas.control import KEEP

if TYPE_CHECKING:
    from tachograph._redact import Redactor
    from tachograph._transport import Answer, Transport

_UNREADABLE = 400
_MOST_REFUSALS = 32
"""Of one batch: enough to find three bad spans among 512."""
BODY_LIMIT_BYTES = 4 << 20
"""Larger bodies are split before they are sent: collectors commonly refuse more than a few MiB."""


@dataclass(slots=True)
class Delivery:
    """What became of a batch: every span of it is in exactly one of the three."""

    accepted: int = 0
    lost: int = 0
    retry: list[Record] = field(default_factory=list)
    why: str = ""
    after_s: float | None = None
    unreachable: bool = False


class Exporter:
    """Sends batches. Used by one thread at a time."""

    def __init__(
        self, transport: Transport, redactor: Redactor, resource: bytes, scope: bytes
    ) -> None:
        """``resource`` and ``scope`` are the contents of what spans of ours belong to."""
        self.transport = transport
        self.redactor = redactor
        self.resource = resource
        self.scope = scope
        self.screened = Screened()
        self.kept: Kept | None = None
        """Is told of bodies that the collector keeps; None when nobody asks."""
        self._resource: bytes | None = None
        self._searching = True
        """Whether what is refused is sent again by halves: not to a collector that refuses everything."""

    def send(self, spans: Sequence[Record], timeout_s: float) -> Delivery:
        """Send a batch; blocks for about ``timeout_s`` a request. Never raises."""
        delivery = Delivery()
        if self.screened.catch_up is not None:
            self.screened.catch_up()
        self._refusals = 0
        pending = [list(spans)]
        while pending:
            part = pending.pop()
            body = self._encode(part)
            if body is None:
                delivery.lost += len(part)
                delivery.why = "could not be encoded"
            elif len(body) > BODY_LIMIT_BYTES and len(part) > 1:
                pending += _halves(part)
            else:
                self._post(part, body, timeout_s, delivery, pending)
            if delivery.retry:
                for rest in reversed(pending):
                    delivery.retry += rest
                break
        return delivery

    def _post(
        self,
        part: list[Record],
        body: bytes,
        timeout_s: float,
        delivery: Delivery,
        pending: list[list[Record]],
    ) -> None:
        answer = self._post_named(body, timeout_s)
        if answer.kind == "accepted":
            rejected = min(_rejected(answer.body), len(part))
            self._searching = True
            delivery.accepted += len(part) - rejected
            delivery.lost += rejected
            if rejected:
                delivery.why = "the collector rejected a part of the batch"
        elif answer.kind == "retry":
            delivery.retry += part
            delivery.after_s, delivery.unreachable = answer.after_s, answer.unreachable
            delivery.why = answer.why
        elif len(part) > 1 and (answer.kind == "too_large" or self._may_search(answer)):
            pending += _halves(part)
        else:
            delivery.lost += len(part)
            delivery.why = answer.why

    def _post_named(self, body: bytes, timeout_s: float) -> Answer:
        kept = self.kept
        if kept is None or not (kept.is_wanted and self.transport.uses_zstd):
            return self.transport.post(body, timeout_s)
        name = new_name()
        answer = self.transport.post(body, timeout_s, {KEEP: name})
        if answer.kept:
            kept.add(name, body)
        return answer

    def _may_search(self, answer: Answer) -> bool:
        """Whether a refused batch is to be halved, so that a span that cannot be read takes few others along."""
        if answer.status != _UNREADABLE or not self._searching:
            return False
        self._refusals += 1
        if self._refusals > _MOST_REFUSALS:
            # Nothing is right for it, or too much is wrong: no request for each span of every batch.
            self._searching = False
        return self._searching

    def _encode(self, spans: list[Record]) -> bytes | None:
        """The body with every secret masked; None when it cannot be made, never an unmasked one."""
        try:
            pairs = [self._scoped(record) for record in spans]
            # Most spans hold nothing to mask and go as they are.
            rest_of = self.screened.rest_of
            closer = self.redactor.suspects([rest_of(span) for _, span in pairs])
            if closer:
                masked = self._masked([pairs[at][1] for at in closer])
                for at, span in zip(closer, masked, strict=True):
                    pairs[at] = pairs[at][0], span
            return _otlp.request(self._masked_resource(), pairs)
        except Exception as fault:
            if len(spans) > 1:
                return self._encode_singly(spans)
            if not contain("encoding a span", fault):
                raise
            return None

    def _masked(self, spans: list[bytes]) -> list[bytes]:
        scope_spans = ScopeSpans.FromString(
            b"".join(_otlp.field(_otlp.SPAN_TAG, span) for span in spans)
        )
        for span in scope_spans.spans:
            self.redactor.redact_span(span)
        return [span.SerializeToString() for span in scope_spans.spans]

    def _masked_resource(self) -> bytes:
        if self._resource is None:
            found = Resource.FromString(self.resource)
            self.redactor.redact_attributes(found.attributes)
            self._resource = found.SerializeToString()
        return self._resource

    def _scoped(self, record: Record) -> tuple[bytes, bytes]:
        if not record.kind & FOREIGN:
            return self.scope, record.content
        body = 2 + int.from_bytes(record.content[:2], "little")
        return record.content[2:body], record.content[body:]

    def _encode_singly(self, spans: list[Record]) -> bytes:
        """One span that cannot be encoded must not take its batch along. Bodies add up as bytes."""
        bodies = [self._encode([span]) for span in spans]
        failed = bodies.count(None)
        if failed:
            say_rarely("encode", "tachograph: %d spans could not be encoded and are lost", failed)
        return b"".join(body for body in bodies if body is not None)


def _halves(part: list[Record]) -> list[list[Record]]:
    middle = len(part) // 2
    # The last is taken first, so that order is kept.
    return [part[middle:], part[:middle]]


def _rejected(body: bytes) -> int:
    if not body:
        return 0
    try:
        response = ExportTraceServiceResponse.FromString(body)
    except Exception:
        return 0  # an answer that is not protobuf: 2xx still means accepted
    return int(response.partial_success.rejected_spans)
