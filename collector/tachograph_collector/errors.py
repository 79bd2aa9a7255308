"""What can go wrong in the collector.

CollectorError
├── StartError           it cannot start; the message says what to do
├── BodyError            a client's body is refused
│   ├── BadBodyError         400: it can never be accepted
│   ├── TooLargeError        413
│   ├── StalledError         408: the rest of it did not come
│   ├── GoneError            412: what it was compressed against is not kept any more
│   └── UnsupportedError     415: a content type or encoding nobody speaks here
└── NotNowError          503 with Retry-After: memory, log or disk is full, or the collector is stopping
"""

from __future__ import annotations

import random


class CollectorError(Exception):
    """Base of everything the collector raises on purpose."""


class StartError(CollectorError):
    """The collector cannot start; the message says why and what to do."""


class BodyError(CollectorError):
    """A client's body is refused."""

    http_status = 400
    reason = "bad_body"


class BadBodyError(BodyError):
    """The body can never be accepted: garbage, cut short, wrongly typed."""


class TooLargeError(BodyError):
    """The body is over the limit, as sent or after decompression."""

    http_status = 413
    reason = "too_large"


class StalledError(BodyError):
    """The client stopped sending in the middle of the body."""

    http_status = 408
    reason = "stalled"


class GoneError(BodyError):
    """A body was compressed against others that are not kept any more; it can be sent without."""

    http_status = 412
    reason = "gone"


class UnsupportedError(BodyError):
    """A content type or content encoding that nobody speaks here."""

    http_status = 415
    reason = "unsupported"


class NotNowError(CollectorError):
    """Nothing can be taken at the moment; the client should try again after ``retry_after_s`` seconds.

    One to two seconds, so that refused clients do not come back all at once. Never much more: exporters give
    up ten seconds after the first try, and drop at once what they are told to hold for longer.
    """

    reason = "not_now"

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = (
            1 + random.random() if retry_after_s is None else retry_after_s  # noqa: S311  # jitter
        )
