"""Settings: one table per part, one precedence everywhere.

``argument > environment > tacho.toml > default``. A part declares a table of :class:`Setting`; the
lookup is written once, here. Unknown keys in ``tacho.toml`` are errors and unknown ``TACHO_*``
variables are warned about, because a misspelt setting that is silently ignored helps nobody.

``tacho.toml`` is read from the working directory; its keys are the variables' names without the
``TACHO_`` prefix, in lower case (``TACHO_HTTP_PORT`` is ``http_port = 4318``).
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PREFIX = "TACHO_"
FILE_NAME = "tacho.toml"
_RESEMBLES = 0.85
"""One letter too few, too many or swapped in a name of six; `http_port` and `grpc_port` differ more."""


class SettingsError(ValueError):
    """A setting that cannot be used. The message names it and says what to do."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its environment variable, how to read it, and what it means."""

    env: str
    default: Any
    help: str
    parse: Callable[[str], Any] = str

    @property
    def key(self) -> str:
        """The name in ``tacho.toml`` and of the keyword argument."""
        return self.env.removeprefix(PREFIX).lower()


def flag(text: str) -> bool:
    """Read a yes/no setting."""
    lowered = text.strip().lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"", "0", "false", "no", "off"}:
        return False
    raise ValueError("expected 1 or 0")


def size_bytes(text: str) -> int:
    """Read a size: a number of bytes, or one with the suffix KiB, MiB or GiB."""
    try:
        for suffix, factor in (("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)):
            if text.strip().endswith(suffix):
                return int(float(text.strip().removesuffix(suffix)) * factor)
        return int(text)
    except ValueError as error:
        raise ValueError("expected a number of bytes, or one such as 64 MiB") from error


def port(text: str) -> int:
    """Read a port, 0 (pick a free one) to 65535."""
    number = int(text) if text.strip().isdecimal() else -1
    if not 0 <= number <= 65535:
        raise ValueError("expected a port from 0 to 65535")
    return number


def web_address(text: str) -> str:
    """Read ``http(s)://HOST[:PORT]``, to which paths are added."""
    parts = urlsplit(text.rstrip("/"))
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise ValueError("expected http(s)://HOST[:PORT]")
    if parts.path or parts.query or parts.fragment:
        raise ValueError("expected http(s)://HOST[:PORT], without a path")
    return f"{parts.scheme}://{parts.netloc}".lower()


def storage(text: str) -> str:
    """Read the storage DSN; what it names is not opened."""
    expected = "expected chdb:///absolute/path or http(s)://user:password@host:8123/database"
    parts = urlsplit(text)
    if parts.scheme == "chdb":
        path = text.removeprefix("chdb://").partition("?")[0]
        # Without a path the engine keeps everything in memory, until the process ends.
        if not path.startswith("/") or path.strip("/") in {"", ":memory:"}:
            raise ValueError(f"{expected}; the embedded engine needs a directory")
    elif parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(expected)
    return text


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a number may be; both ends are allowed."""

    least: float
    most: float
    unit: str = ""

    def refusal(self, value: float) -> str:
        """Why ``value`` cannot be used; empty when it can."""
        if math.isfinite(value) and self.least <= value <= self.most:
            return ""
        unit = f" {self.unit}" if self.unit else ""
        return f"expected {self.least:,} to {self.most:,}{unit}"


_TIB = 1 << 40
# Every number that can be set, whichever part declares it. Below the least a part would stand still or keep nothing;
# the most only catches slips (milliseconds for seconds, bytes for a count).
BOUNDS: Mapping[str, Bounds] = {
    "TACHO_RETENTION_DAYS": Bounds(1, 36_500, "days"),
    "TACHO_MAX_BODY_BYTES": Bounds(1 << 10, 1 << 30, "bytes"),
    "TACHO_LOG_SEGMENT_BYTES": Bounds(4 << 10, 1 << 30, "bytes"),
    "TACHO_LOG_MAX_BYTES": Bounds(1 << 20, 1 << 50, "bytes"),
    "TACHO_LOG_KEEP_S": Bounds(0, 30 * 86_400, "seconds"),
    "TACHO_MIN_FREE_BYTES": Bounds(0, 1 << 50, "bytes"),
    "TACHO_MAX_DISK_BYTES": Bounds(0, 1 << 50, "bytes"),
    "TACHO_QUARANTINE_MAX_BYTES": Bounds(0, 1 << 50, "bytes"),
    "TACHO_BATCH_MAX_SPANS": Bounds(1, 10_000_000, "spans"),
    "TACHO_BATCH_MAX_BYTES": Bounds(1 << 10, 4 << 30, "bytes"),
    "TACHO_BATCH_LINGER_MS": Bounds(0, 60_000, "milliseconds"),
    "TACHO_DRIFT_BUDGET_RUNS": Bounds(100, 1_000_000, "runs"),
    "TACHO_DRIFT_SETTLE_S": Bounds(0.1, 86_400, "seconds"),
    "TACHO_DRIFT_MAX_MEMORY_BYTES": Bounds(128 << 20, _TIB, "bytes"),
    "TACHO_ALERT_INTERVAL_S": Bounds(0.1, 3_600, "seconds"),
    "TACHO_GATEWAY_READERS": Bounds(1, 256, "readers"),
    "TACHO_GATEWAY_QUEUE": Bounds(0, 100_000, "queries"),
    "TACHO_GATEWAY_QUEUE_TIMEOUT_S": Bounds(0, 3_600, "seconds"),
    "TACHO_GATEWAY_MAX_EXECUTION_S": Bounds(0.1, 86_400, "seconds"),
    "TACHO_GATEWAY_MAX_MEMORY_BYTES": Bounds(1 << 20, _TIB, "bytes"),
    "TACHO_GATEWAY_MAX_RESULT_ROWS": Bounds(1, 1 << 50, "rows"),
    "TACHO_GATEWAY_MAX_RESULT_BYTES": Bounds(1 << 10, 1 << 50, "bytes"),
    "TACHO_GATEWAY_MAX_BUFFERED_BYTES": Bounds(1 << 10, _TIB, "bytes"),
    "TACHO_CAPTURE_LIMIT_BYTES": Bounds(0, 1 << 30, "bytes"),
    "TACHO_HEARTBEAT_S": Bounds(0, 3_600, "seconds"),
    "TACHO_QUEUE_SPANS": Bounds(1, 100_000_000, "spans"),
    "TACHO_QUEUE_BYTES": Bounds(1 << 10, _TIB, "bytes"),
    "TACHO_SPOOL_MAX_BYTES": Bounds(0, 1 << 50, "bytes"),
    "TACHO_EXPORT_DELAY_S": Bounds(0, 3_600, "seconds"),
    "TACHO_EXPORT_TIMEOUT_S": Bounds(0.01, 3_600, "seconds"),
    "TACHO_APPROVAL_TIMEOUT_S": Bounds(1, 30 * 86_400, "seconds"),
    "TACHO_APPROVAL_BUDGET_S": Bounds(0, 30 * 86_400, "seconds"),
}


DEFAULT_ENDPOINT = "http://127.0.0.1:4318"

# What several parts share. A part's own table lives in that part and is added to this one there.
SHARED: tuple[Setting, ...] = (
    Setting("TACHO_HOME", "~/.tachograph", "data, log, spool, control database"),
    Setting("TACHO_ENDPOINT", DEFAULT_ENDPOINT, "where SDK, CLI and dashboard find the collector"),
    Setting("TACHO_API_KEY", "", "key sent to the collector as `Authorization: Bearer`"),
    Setting(
        "TACHO_CLICKHOUSE",
        "",
        "storage: chdb:///path or http://user:pass@host:8123/db; default `data` in TACHO_HOME",
        storage,
    ),
    Setting("TACHO_CLICKHOUSE_CLUSTER", "", "name of the ClickHouse cluster to create tables on"),
    Setting(
        "TACHO_CONTROL_DB",
        "",
        "SQLAlchemy URL of the control database (keys, approvals, pauses, audit log); default "
        "`control.db` in TACHO_HOME",
    ),
    Setting("TACHO_HOST", "127.0.0.1", "address the listeners bind to"),
    Setting("TACHO_HTTP_PORT", 4318, "OTLP/HTTP and control API", port),
    Setting("TACHO_GRPC_PORT", 4317, "OTLP/gRPC", port),
    Setting("TACHO_GATEWAY_PORT", 8123, "ClickHouse protocol over the embedded engine", port),
    Setting("TACHO_DASHBOARD_PORT", 8501, "dashboard", port),
    Setting(
        "TACHO_MAX_DISK_BYTES",
        0,
        "size of the stored data above which the oldest days are deleted; 0: no limit",
        size_bytes,
    ),
    Setting("TACHO_TRACEBACK", False, "`tacho` shows a traceback on a fault of its own", flag),
    Setting("TACHO_DISABLED", False, "the SDK records nothing and costs nothing", flag),
)

_KNOWN: dict[str, Setting] = {setting.env: setting for setting in SHARED}


def declare(table: Iterable[Setting]) -> tuple[Setting, ...]:
    """Make a part's settings known, so that they are not refused as misspelt, and return the table."""
    rows = tuple(table)
    _KNOWN.update({setting.env: setting for setting in rows})
    return rows


def known() -> Mapping[str, Setting]:
    """Every declared setting by its variable."""
    return _KNOWN


def read_file(directory: Path | None = None) -> dict[str, Any]:
    """The contents of ``tacho.toml`` in ``directory`` (default: the working directory), or nothing."""
    path = (directory or Path.cwd()) / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
        # Most programs have no such file, and no need of what reads it.
        import tomllib

        return tomllib.loads(text)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}. Correct or remove it.") from error


def file_mentions(word: str, directory: Path | None = None) -> bool:
    """Whether ``tacho.toml`` holds ``word``, be it readable as TOML or not."""
    try:
        return word.encode() in ((directory or Path.cwd()) / FILE_NAME).read_bytes()
    except OSError:
        return False


def resolve(
    table: Iterable[Setting],
    arguments: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    file: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The values of ``table`` by key, each from the first of argument, environment, file, default.

    Arguments that are ``None`` count as not given, and so do empty environment variables.

    Raises:
        SettingsError: a value cannot be read.
    """
    arguments = arguments or {}
    environ = os.environ if environ is None else environ
    file = read_file() if file is None else file
    values: dict[str, Any] = {}
    for setting in table:
        given = arguments.get(setting.key)
        if given is not None:
            values[setting.key] = _checked(setting, given, given)
            continue
        text = environ.get(setting.env) or file.get(setting.key)
        if text is None or text == "":
            values[setting.key] = setting.default
            continue
        try:
            value = setting.parse(_text(text))
        except (ValueError, OverflowError) as error:
            # What int() says of a wrong text is for programmers.
            why = "expected a number" if setting.parse in {int, float} else error
            raise SettingsError(
                f"{setting.env}={_without_password(text)!r} cannot be used: {why}."
            ) from error
        values[setting.key] = _checked(setting, value, text)
    return values


def _text(given: object) -> str:
    """What a file holds as the text that a variable would hold: tables and lists of them as JSON."""
    if isinstance(given, list) and any(isinstance(each, dict) for each in given):
        return json.dumps(given, default=str)
    return str(given)


def _without_password(text: object) -> str:
    return re.sub(r"//[^/@]*@", "//***@", str(text))


def _checked(setting: Setting, value: Any, said: object) -> Any:
    bounds = BOUNDS.get(setting.env)
    refusal = bounds.refusal(value) if bounds and isinstance(value, int | float) else ""
    if refusal:
        raise SettingsError(f"{setting.env}={said!r} cannot be used: {refusal}.")
    return value


def unknown_names(
    *, environ: Mapping[str, str] | None = None, file: Mapping[str, Any] | None = None
) -> list[str]:
    """A sentence for each ``TACHO_*`` variable and ``tacho.toml`` key that no part has declared.

    A variable may belong to a newer or older Tachograph in the same shell, so programs warn about it;
    a key in a file that only we read is a mistake, so :func:`refuse_unknown` raises on it.
    """
    environ = os.environ if environ is None else environ
    file = read_file() if file is None else file
    variables = [name for name in environ if name.startswith(PREFIX) and name not in _KNOWN]
    keys = {setting.key for setting in _KNOWN.values()}
    return [_misspelt(name, _KNOWN) for name in sorted(variables)] + [
        f"{FILE_NAME}: {_misspelt(key, keys)}" for key in file if key not in keys
    ]


def misspelt(environ: Mapping[str, str] | None = None) -> list[str]:
    """A sentence for each undeclared ``TACHO_*`` variable that is nearly the name of a declared one.

    For a part that knows its own settings only: what resembles none of them may be another part's.
    """
    environ = os.environ if environ is None else environ
    keys = {setting.key: setting.env for setting in _KNOWN.values()}
    found = []
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in _KNOWN:
            # Without the prefix, which would make every name resemble every other.
            key = name.removeprefix(PREFIX).lower()
            close = _nearest(key, keys, _RESEMBLES)
            found += [f"{name} is not a setting; did you mean {keys[near]}?" for near in close]
    return found


def refuse_unknown(*, file: Mapping[str, Any] | None = None) -> None:
    """Raise on a key of ``tacho.toml`` that no part has declared.

    Call it from programs, after importing every part's settings.

    Raises:
        SettingsError: names the unknown key and the nearest known one.
    """
    sentences = unknown_names(environ={}, file=file)
    if sentences:
        raise SettingsError(sentences[0])


def _misspelt(name: str, candidates: Iterable[str]) -> str:
    close = _nearest(name, candidates, 0.6)
    hint = f"did you mean {close[0]}?" if close else "`tacho doctor` lists the settings."
    return f"{name} is not a setting; {hint}"


def _nearest(name: str, candidates: Iterable[str], cutoff: float) -> list[str]:
    # Loaded for a mistake only: every program that records reads its settings.
    from difflib import get_close_matches

    return get_close_matches(name, list(candidates), n=1, cutoff=cutoff)


def home(value: str | Path) -> Path:
    """``TACHO_HOME`` as an absolute path, the tilde expanded."""
    return Path(value).expanduser().absolute()
