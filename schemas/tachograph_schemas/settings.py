"""Settings: one table per part, one precedence everywhere.

``argument > environment > tacho.toml > default``. A part declares a table of :class:`Setting`; the
lookup is written once, here. Unknown keys in ``tacho.toml`` are errors and unknown ``TACHO_*``
variables are warned about, because a misspelt setting that is silently ignored helps nobody.

``tacho.toml`` is read from the working directory; its keys are the variables' names without the
``TACHO_`` prefix, in lower case (``TACHO_HTTP_PORT`` is ``http_port = 4318``).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

PREFIX = "TACHO_"
FILE_NAME = "tacho.toml"


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
    for suffix, factor in (("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)):
        if text.strip().endswith(suffix):
            return int(float(text.strip().removesuffix(suffix)) * factor)
    return int(text)


def port(text: str) -> int:
    """Read a port, 0 (pick a free one) to 65535."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError("expected a port from 0 to 65535")
    return number


# What several parts share. A part's own table lives in that part and is added to this one there.
SHARED: tuple[Setting, ...] = (
    Setting("TACHO_HOME", "~/.tachograph", "data, log, spool, control database"),
    Setting(
        "TACHO_ENDPOINT", "http://127.0.0.1:4318", "where SDK, CLI and dashboard find the collector"
    ),
    Setting("TACHO_API_KEY", "", "key sent to the collector as `Authorization: Bearer`"),
    Setting("TACHO_CLICKHOUSE", "", "storage: chdb:///path or http://user:pass@host:8123/db"),
    Setting("TACHO_CLICKHOUSE_CLUSTER", "", "name of the ClickHouse cluster to create tables on"),
    Setting(
        "TACHO_CONTROL_DB", "", "SQLAlchemy URL of the control database; nothing is kept in it yet"
    ),
    Setting("TACHO_HOST", "127.0.0.1", "address the listeners bind to"),
    Setting("TACHO_HTTP_PORT", 4318, "OTLP/HTTP and control API", port),
    Setting("TACHO_GRPC_PORT", 4317, "OTLP/gRPC", port),
    Setting("TACHO_GATEWAY_PORT", 8123, "ClickHouse protocol over the embedded engine", port),
    Setting("TACHO_DASHBOARD_PORT", 8501, "dashboard", port),
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
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}. Correct or remove it.") from error


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
            values[setting.key] = given
            continue
        text = environ.get(setting.env) or file.get(setting.key)
        if text is None or text == "":
            values[setting.key] = setting.default
            continue
        try:
            values[setting.key] = setting.parse(str(text))
        except ValueError as error:
            raise SettingsError(f"{setting.env}={text!r} cannot be used: {error}.") from error
    return values


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
    close = get_close_matches(name, list(candidates), n=1)
    hint = f"did you mean {close[0]}?" if close else "`tacho doctor` lists the settings."
    return f"{name} is not a setting; {hint}"


def home(value: str | Path) -> Path:
    """``TACHO_HOME`` as an absolute path, the tilde expanded."""
    return Path(value).expanduser().absolute()
