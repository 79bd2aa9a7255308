"""OTLP/gRPC: the same road as HTTP, with gRPC's words for the answers.

Handlers get the bytes as they came (no deserialiser), so that bodies take the path of :mod:`receive` unchanged.
What should be sent again is ``UNAVAILABLE`` with a ``RetryInfo``, in the place the OTLP specification names
(``grpc-status-details-bin``) and in the one the Python exporter reads (``google.rpc.retryinfo-bin``).
"""

from __future__ import annotations

import socket
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from tachograph_collector import signals
from tachograph_collector.content import too_large
from tachograph_collector.errors import BodyError, NotNowError, StartError
from tachograph_collector.keys import KEY_NEEDED, Keys
from tachograph_collector.listeners import listen
from tachograph_collector.receive import Parcel, Receiver

TRACE_SERVICE = signals.TRACES.service
_MOST_STREAMS = 64  # a connection; each may hold one whole body before it is handed over


class GrpcIntake:
    """The gRPC server: bound when made, on the event loop that it is to run on; serves once started.

    Raises:
        StartError: the port is taken or the address is not this machine's.
    """

    def __init__(self, host: str, port: int, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._server = grpc.aio.server(
            options=[
                # Above the limit gRPC itself refuses, with a status that exporters take for "try again". So it
                # gets some room, and what lies between is refused here, for good.
                ("grpc.max_receive_message_length", 2 * max_body_bytes),
                ("grpc.max_concurrent_streams", _MOST_STREAMS),
                # Two processes on one port would each get some of the spans.
                ("grpc.so_reuseport", 0),
            ]
        )
        self.address = _bind(self._server, host, port)
        """``HOST:PORT``."""

    async def start(self, receiver: Receiver, keys: Keys) -> None:
        """Begin to answer."""
        self._server.add_generic_rpc_handlers(
            tuple(
                grpc.method_handlers_generic_handler(
                    signal.service, {"Export": self._export(signal, receiver, keys)}
                )
                for signal in signals.FACES.values()
            )
        )
        await self._server.start()

    async def stop(self, drain_s: float) -> None:
        """Take no more calls, and wait at most ``drain_s`` seconds for those under way."""
        await self._server.stop(drain_s)

    def _export(self, signal: signals.SignalFace, receiver: Receiver, keys: Keys) -> Any:
        async def export(body: bytes, context: Any) -> bytes:
            project = keys.project(_authorization(context))
            if project is None:
                receiver.count_refusal("unauthorized", signal.name)
                await _abort(context, grpc.StatusCode.UNAUTHENTICATED, KEY_NEEDED)
            try:
                if len(body) > self._max_body_bytes:
                    raise too_large(self._max_body_bytes)
                with receiver.memory.loan() as loan:
                    loan.claim(len(body))
                    # gRPC has undone the compression, and does not say which it was.
                    parcel = Parcel(body, project, "grpc", "unknown", signal)
                    answer: bytes = signal.answer(
                        await receiver.take(parcel, loan)
                    ).SerializeToString()
                    return answer
            except BodyError as error:
                receiver.count_refusal(error, signal.name)
                await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
            except NotNowError as error:
                receiver.count_refusal(error, signal.name)
                code = grpc.StatusCode.UNAVAILABLE
                await _abort(context, code, str(error), retry_metadata(error))

        return grpc.unary_unary_rpc_method_handler(export)


async def _abort(
    context: Any, code: grpc.StatusCode, message: str, metadata: tuple[tuple[str, bytes], ...] = ()
) -> NoReturn:
    await context.abort(code, message, metadata)
    raise AssertionError("abort raises")


def _authorization(context: Any) -> bytes:
    for name, value in context.invocation_metadata() or ():
        if name == "authorization":
            return value.encode() if isinstance(value, str) else value
    return b""


def retry_metadata(error: NotNowError) -> tuple[tuple[str, bytes], ...]:
    """Trailing metadata that says when to try again."""
    delay = Duration()
    delay.FromMilliseconds(round(error.retry_after_s * 1e3))
    retry = RetryInfo(retry_delay=delay)
    packed = AnyMessage()
    packed.Pack(retry)
    status = Status(code=grpc.StatusCode.UNAVAILABLE.value[0], message=str(error), details=[packed])
    return (
        ("grpc-status-details-bin", status.SerializeToString()),
        ("google.rpc.retryinfo-bin", retry.SerializeToString()),
    )


def _bind(server: Any, host: str, port: int) -> str:
    # gRPC says only that it could not bind. A socket of our own says why, and is closed again.
    probe = listen(host, port, "TACHO_GRPC_PORT")
    literal = f"[{host}]" if probe.family == socket.AF_INET6 and ":" in host else host
    probe.close()
    try:
        bound = server.add_insecure_port(f"{literal}:{port}")
    except RuntimeError:
        bound = 0
    if not bound:
        raise StartError(
            f"Port {port} on {host} cannot be used for OTLP/gRPC. Set TACHO_GRPC_PORT to another port "
            "(0 takes a free one)."
        )
    return f"{literal}:{bound}"
