"""Streams of the generated clients, observed while their caller reads them.

The stream's own iterator is replaced by one that passes everything on, so the caller keeps the very
stream object, with its type and methods. The end of the record is the first of: the event
after which nothing more is said, an error, ``close()``, or the stream being dropped.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tachograph._guard import guarded
from tachograph.instruments._client_response import body_fields, observe, wire_fields
from tachograph.instruments._model_call import ModelCall, is_stream

MAX_BODY_BYTES = 8 << 20


def watch_stream(call: ModelCall, stream: Any) -> None:
    """Record ``stream`` (``Stream`` or ``AsyncStream``) as it is read."""
    watch = StreamWatch(call)
    _tee(stream, watch)
    observe(stream.response, watch)


def watch_raw(call: ModelCall, raw: Any) -> None:
    """Record a raw response: at once when its body was read, else as it is read, parsed or closed."""
    fields = body_fields(raw.http_response)
    if fields:
        call.answered(fields)
        return
    watch = BodyWatch(call, raw.http_response)
    observe(raw.http_response, watch)
    parse, reference = type(raw).parse, weakref.ref(raw)

    def parsed(value: Any) -> Any:
        with guarded("recording a parsed answer"):
            if is_stream(value):
                _tee(value, watch.as_stream())
        return value

    def parse_sync(*args: Any, **kwargs: Any) -> Any:
        return parsed(parse(reference(), *args, **kwargs))

    async def parse_async(*args: Any, **kwargs: Any) -> Any:
        return parsed(await parse(reference(), *args, **kwargs))

    # The reference is weak: in a cycle, a dropped response would keep its connection until the
    # garbage collector comes.
    raw.parse = parse_async if inspect.iscoroutinefunction(parse) else parse_sync


def _tee(stream: Any, watch: StreamWatch) -> None:
    inner = stream._iterator
    stream._iterator = (
        _SyncTee(inner, watch) if hasattr(inner, "__next__") else _AsyncTee(inner, watch)
    )


class StreamWatch:
    """What was seen of one stream. The end is taken once; later ones are echoes of the first."""

    def __init__(self, call: ModelCall) -> None:
        self._call = call
        self._message = call.dialect.builder()
        self.reading = False
        """While the next event is awaited, a close belongs to that reading, which knows more."""

    def saw(self, event: Any) -> None:
        """The caller gets ``event`` next."""
        with guarded("recording a stream event"):
            if self._call.ended:
                return
            empty = not self._message.has_content
            self._message.add(event)
            if empty and self._message.has_content:
                self._call.first_chunk()
            if self._message.ended():
                self._call.answered(self._message.fields())

    def exhausted(self) -> None:
        """The iterator ended. An answer that is not whole by then was cut."""
        if self._message.complete():
            self._call.answered(self._message.fields())
        else:
            self.failed(EOFError("the stream ended before its last event"))

    def failed(self, error: BaseException) -> None:
        """Reading raised ``error``, which the caller gets."""
        self._call.failed(error, self._message.fields())

    def chunk(self, data: bytes) -> None:
        """Events say all."""

    def read(self) -> None:
        """The last events may still be in the decoder."""

    def closed(self) -> None:
        """The caller let go."""
        if not self.reading:
            self._call.answered(self._message.fields(), abandoned=not self._message.complete())


class BodyWatch:
    """The body of a raw response, until somebody makes a stream of it."""

    def __init__(self, call: ModelCall, response: Any) -> None:
        self._call = call
        self._response = response
        self._raw = bytearray()
        self._stream: StreamWatch | None = None

    def as_stream(self) -> StreamWatch:
        """From now on the events of a stream are what counts."""
        self._stream = StreamWatch(self._call)
        return self._stream

    def chunk(self, data: bytes) -> None:
        """Keep the bytes, within reason, for the message in them."""
        if self._stream is None and len(self._raw) < MAX_BODY_BYTES:
            self._raw += data

    def read(self) -> None:
        """The message is complete."""
        if self._stream is None:
            with guarded("reading a raw answer"):
                self._call.answered(wire_fields(self._response, bytes(self._raw)))

    def closed(self) -> None:
        """The caller let go."""
        if self._stream is not None:
            self._stream.closed()
        else:
            self._call.answered({}, abandoned=True)


class _SyncTee:
    __slots__ = ("_inner", "_watch")

    def __init__(self, inner: Iterator[Any], watch: StreamWatch) -> None:
        self._inner = inner
        self._watch = watch

    def __iter__(self) -> _SyncTee:
        return self

    def __next__(self) -> Any:
        watch = self._watch
        watch.reading = True
        try:
            event = next(self._inner)
        except StopIteration:
            watch.exhausted()
            raise
        except BaseException as error:
            watch.failed(error)
            raise
        finally:
            watch.reading = False
        watch.saw(event)
        return event


class _AsyncTee:
    __slots__ = ("_inner", "_watch")

    def __init__(self, inner: AsyncIterator[Any], watch: StreamWatch) -> None:
        self._inner = inner
        self._watch = watch

    def __aiter__(self) -> _AsyncTee:
        return self

    async def __anext__(self) -> Any:
        watch = self._watch
        watch.reading = True
        try:
            event = await anext(self._inner)
        except StopAsyncIteration:
            watch.exhausted()
            raise
        except BaseException as error:
            watch.failed(error)
            raise
        finally:
            watch.reading = False
        watch.saw(event)
        return event
