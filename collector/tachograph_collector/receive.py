"""What OTLP over HTTP and over gRPC share: from a body to "it is on disk".

Inflate within bounds, bring into canonical form, look whether it was acknowledged lately, append to the log, wait for
the disk. Whoever gets an answer here may tell the client 200; every other outcome is an exception of ``errors``.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Literal

from tachograph_collector import content
from tachograph_collector.canonical import CanonicalBody
from tachograph_collector.errors import BodyError, NotNowError
from tachograph_collector.kinds import KINDS
from tachograph_collector.memory import Loan, Memory
from tachograph_collector.metrics import Metrics
from tachograph_collector.signals import TRACES, SignalFace
from tachograph_collector.wal import Log
from tachograph_collector.window import Verdict, Window, fingerprint
from tachograph_schemas import metric_names, names

Form = Literal["protobuf", "json"]
"""How a body is written."""
Protocol = Literal["http/protobuf", "http/json", "grpc"]
"""How it came; the words of ``OTEL_EXPORTER_OTLP_PROTOCOL``."""

_UNDONE = {"identity", "unknown"}
_OPEN = names.OPEN.encode()
SIGN_OF_LIFE_S = 14.0
"""After which an identical report of open spans is stored again: a third of those that come each five seconds, and in
time for a run that counts as interrupted once nothing was heard of it for 60."""
IN_FLIGHT_BYTES = 64 << 20
"""How much of bodies may be in memory before they are on disk."""
_PATIENCE_S = 2.0  # for the disk; exporters wait ten seconds in all, several tries included
_INLINE_BYTES = (
    256 << 10
)  # protobuf up to this size is checked on the event loop: about a millisecond
_INLINE_JSON_BYTES = 16 << 10
_AT_ONCE = 2  # bodies decoded off the loop: parsed, one can take many times its size


@dataclass(frozen=True, slots=True)
class Parcel:
    """A body as it came, and what its envelope said."""

    raw: bytes
    project: str
    protocol: Protocol
    encoding: str = "identity"
    """One of :func:`content.encoding_of`; ``unknown`` when the transport has undone it."""
    signal: SignalFace = TRACES

    @property
    def form(self) -> Form:
        """How the body is written."""
        return "json" if self.protocol == "http/json" else "protobuf"


class Receiver:
    """Takes bodies of all signals; one for all listeners of a process, used on its event loop."""

    def __init__(
        self,
        log: Log,
        metrics: Metrics,
        *,
        max_body_bytes: int,
        in_flight_bytes: int = IN_FLIGHT_BYTES,
        window: Window | None = None,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._window = Window() if window is None else window  # an empty one is false
        self._patience_s = patience_s
        self._off_loop = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self.max_body_bytes = max_body_bytes
        """The largest body, before and after decompression."""
        self.memory = Memory(in_flight_bytes)
        """Claim a body's bytes here as they arrive."""
        self.stopping = False
        """Set when the process stops: nothing is taken any more."""
        metrics.gauge(metric_names.BODIES_IN_FLIGHT, lambda: self.memory.bodies)
        metrics.gauge(metric_names.IN_FLIGHT_BYTES, lambda: self.memory.used_bytes)
        metrics.gauge(metric_names.LOG_QUEUE_DEPTH, lambda: self._waiting)

    async def take(self, parcel: Parcel, loan: Loan) -> CanonicalBody:
        """Check a body and wait until it is on disk; what was kept of it is returned.

        The bytes of ``parcel`` must be claimed on ``loan`` already; decompression claims more.

        Raises:
            BodyError: the body is refused for good.
            NotNowError: it may be accepted later.
        """
        started = time.perf_counter()
        add = self._metrics.add
        signal = parcel.signal.name
        add(
            metric_names.BODIES_RECEIVED,
            protocol=parcel.protocol,
            encoding=parcel.encoding,
            signal=signal,
        )
        if self.stopping:
            raise NotNowError("The collector is stopping.")
        body, key = await self._decoded(parcel, loan)
        if body.data:
            await self._keep(parcel, body, key)
        add(metric_names.RECORDS_ACKNOWLEDGED, body.spans, signal=signal)
        if body.rejected:
            add(metric_names.RECORDS_REJECTED, body.rejected, signal=signal)
        if body.mended:
            add(metric_names.STRINGS_MENDED, body.mended)
        self._metrics.observe(
            metric_names.ACKNOWLEDGE_DURATION_S, time.perf_counter() - started, signal=signal
        )
        return body

    def count_refusal(self, error: BodyError | NotNowError | str, signal: names.Signal) -> None:
        """Count a body that is refused, whether here or before it was complete; or its reason, in a word."""
        reason = error if isinstance(error, str) else error.reason
        self._metrics.add(metric_names.BODIES_REFUSED, reason=reason, signal=signal)

    async def _decoded(self, parcel: Parcel, loan: Loan) -> tuple[CanonicalBody, bytes]:
        most = _INLINE_JSON_BYTES if parcel.form == "json" else _INLINE_BYTES
        if parcel.encoding in _UNDONE and len(parcel.raw) <= most:
            return _decode(parcel, self.max_body_bytes, loan)
        async with self._off_loop:
            return await asyncio.to_thread(_decode, parcel, self.max_body_bytes, loan)

    async def _keep(self, parcel: Parcel, body: CanonicalBody, key: bytes) -> None:
        """Wait until the body is on disk, or is known to be."""
        verdict = self._window.find(key)
        if verdict is None or (verdict.settled and self._is_news(parcel, body, key)):
            verdict = self._append(parcel, body, key)
        else:
            self._metrics.add(metric_names.BODIES_REPEATED, signal=parcel.signal.name)
        self._waiting += 1
        try:
            settled = await verdict.within(self._patience_s)
        finally:
            self._waiting -= 1
        if not settled:
            raise NotNowError("The disk takes too long.")
        if verdict.error is not None:
            raise NotNowError(
                f"The collector cannot store more now: {verdict.error}."
            ) from verdict.error

    def _is_news(self, parcel: Parcel, body: CanonicalBody, key: bytes) -> bool:
        """Whether a body that is on disk says something all the same: that its open spans live still."""
        if parcel.signal is not TRACES or self._window.age_s(key) < SIGN_OF_LIFE_S:
            return False
        return _OPEN in body.data

    def _append(self, parcel: Parcel, body: CanonicalBody, key: bytes) -> Verdict:
        loop = asyncio.get_running_loop()
        verdict = self._window.open(key)

        def done(error: OSError | None) -> None:
            # On the log's thread. When the loop is gone, so is everyone who waited.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._window.settle, key, error)

        try:
            kind = KINDS[parcel.signal.name]
            self._log.append(parcel.project, body.data, body.spans, done, kind)
        except OSError as error:
            self._window.settle(key, error)
        return verdict


def inflate(parcel: Parcel, most_bytes: int, loan: Loan) -> bytes:
    """The body of a parcel without its content encoding. For any thread.

    Raises:
        BodyError: it is not sound, or over ``most_bytes``.
        NotNowError: other bodies hold too much memory.
    """
    if parcel.encoding in _UNDONE:
        return parcel.raw
    return content.inflated(parcel.raw, parcel.encoding, most_bytes, loan.claim)


def _decode(parcel: Parcel, most_bytes: int, loan: Loan) -> tuple[CanonicalBody, bytes]:
    body = inflate(parcel, most_bytes, loan)
    signal = parcel.signal
    found = signal.read_json(body) if parcel.form == "json" else signal.read_protobuf(body)
    # The same bytes may be sound in two signals.
    return found, fingerprint(f"{parcel.project}\0{signal.name}", found.data)
