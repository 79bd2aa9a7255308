"""Errors in the shape ClickHouse gives them over HTTP: a status, a numeric code, one line of text."""

from __future__ import annotations

import re
from typing import Self

from tachograph_collector.errors import CollectorError

# The symbolic names of the codes that the gateway raises itself; the engine names its own.
BAD_ARGUMENTS = 36
NOT_IMPLEMENTED = 48
SYNTAX_ERROR = 62
QUERY_IS_TOO_LARGE = 229
READONLY = 164
TIMEOUT_EXCEEDED = 159
TOO_MANY_SIMULTANEOUS_QUERIES = 202
UNKNOWN_COMPRESSION_METHOD = 89
NO_SUCH_PATH = 107
FUNCTION_NOT_ALLOWED = 446
SETTING_CONSTRAINT_VIOLATION = 452
ACCESS_DENIED = 497
AUTHENTICATION_FAILED = 516
UNKNOWN_EXCEPTION = 1002

_NAMES = {
    BAD_ARGUMENTS: "BAD_ARGUMENTS",
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    SYNTAX_ERROR: "SYNTAX_ERROR",
    QUERY_IS_TOO_LARGE: "QUERY_IS_TOO_LARGE",
    READONLY: "READONLY",
    TIMEOUT_EXCEEDED: "TIMEOUT_EXCEEDED",
    TOO_MANY_SIMULTANEOUS_QUERIES: "TOO_MANY_SIMULTANEOUS_QUERIES",
    UNKNOWN_COMPRESSION_METHOD: "UNKNOWN_COMPRESSION_METHOD",
    NO_SUCH_PATH: "FILE_DOESNT_EXIST",
    FUNCTION_NOT_ALLOWED: "FUNCTION_NOT_ALLOWED",
    SETTING_CONSTRAINT_VIOLATION: "SETTING_CONSTRAINT_VIOLATION",
    ACCESS_DENIED: "ACCESS_DENIED",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED",
    UNKNOWN_EXCEPTION: "UNKNOWN_EXCEPTION",
}

# What clients act upon: 4xx is their mistake, 503 means "again, later". Anything else is 500.
_STATUS_BY_CODE = (
    dict.fromkeys((6, 7, 15, 16, 25, 26, 27, 36, 38, 41, 43, 44, 53, 62, 69, 72), 400)
    | dict.fromkeys((117, 128, 167, 168, 376, 427, 441, 456, 457, 675, 676), 400)
    | dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 81, 107, 115, 78, 511), 404)
    | dict.fromkeys((READONLY, FUNCTION_NOT_ALLOWED, SETTING_CONSTRAINT_VIOLATION), 403)
    | {ACCESS_DENIED: 403, AUTHENTICATION_FAILED: 401}
    | {NOT_IMPLEMENTED: 501, TIMEOUT_EXCEEDED: 408, QUERY_IS_TOO_LARGE: 413}
    | {TOO_MANY_SIMULTANEOUS_QUERIES: 503, UNKNOWN_COMPRESSION_METHOD: 415}
)

_CODE = re.compile(r"Code: (\d+)\. DB::Exception: ")
_VERSION = re.compile(r" \(version [^)]*\)")
_NAME = re.compile(r"\(([A-Z][A-Z0-9_]+)\)\.?\s*$")


class GatewayError(CollectorError):
    """A refused or failed request: ``code`` and ``message`` as ClickHouse has them."""

    def __init__(self, code: int, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.name = name or _NAMES.get(code, "UNKNOWN_EXCEPTION")

    @property
    def http_status(self) -> int:
        """The HTTP status that goes with the code."""
        return _STATUS_BY_CODE.get(self.code, 500)

    def text(self, version: str) -> str:
        """The body of the answer; ``version`` is the engine's."""
        return (
            f"Code: {self.code}. DB::Exception: {self.message} ({self.name}) (version {version})\n"
        )

    @classmethod
    def from_engine(cls, error: BaseException) -> Self:
        """Read the code, the name and the sentence out of what the engine raised.

        The engine wraps a message once for each layer it passes (`Code: 60. DB::Exception: Code: 60. ...`);
        one layer is enough.
        """
        text = str(error).strip()
        codes = list(_CODE.finditer(text))
        if not codes:
            return cls(UNKNOWN_EXCEPTION, text or type(error).__name__)
        head = codes[0]
        end = head.end()
        for repeated in codes[1:]:
            if repeated.start() == end and repeated.group(1) == head.group(1):
                end = repeated.end()
        message = _VERSION.sub("", text[end:]).strip()
        name = None
        while (found := _NAME.search(message)) is not None:
            name = found.group(1)
            message = message[: found.start()].rstrip()
        return cls(int(head.group(1)), message, name)


class ClientGoneError(CollectorError):
    """The client closed the connection; nobody is left to answer."""
