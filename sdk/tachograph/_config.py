"""The SDK's settings: one table, read once by ``init``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from tachograph import _consent
from tachograph._failure import safe_text
from tachograph._given import is_finite, listed, number, truth
from tachograph._guard import LOGGER, say_rarely
from tachograph._policy import Policy, policy_of
from tachograph_schemas import settings
from tachograph_schemas.instance import read_instance
from tachograph_schemas.settings import Setting

_TEXT_LIMIT_CHARS = 65_536
"""Of an argument: endpoints and keys."""


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 86_400:
        raise ValueError("expected seconds from 0 to 86400")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError("expected a whole number above 0")
    return value


def _compression(text: str) -> str:
    if text not in {"auto", "zstd", "gzip", "none"}:
        raise ValueError("expected auto, zstd, gzip or none")
    return text


def _record_mode(text: str) -> str:
    word = text.strip().lower()
    if word not in {"exact", "light", "off"}:
        raise ValueError("expected exact, light or off")
    return word


def _threads_mode(text: str) -> str:
    word = text.strip().lower()
    if word not in {"exact", "free"}:
        raise ValueError("expected exact or free")
    return word


def _policy(given: str) -> Policy:
    word = given.strip().lower()
    if word not in get_args(Policy):
        # The default would record in full what somebody tried to keep out.
        known = ", ".join(get_args(Policy))
        message = "tachograph: TACHO_CAPTURE=%r is none of %s: no payloads are recorded"
        LOGGER.error(message, given, known)
        return "none"
    return policy_of(word)  # type: ignore[arg-type]  # just looked at


def _approver(text: str) -> str:
    if text not in {"", "inbox"}:
        raise ValueError("expected inbox, or nothing")
    return text


def _globs(text: str) -> tuple[str, ...]:
    # In tacho.toml a list is more natural, and arrives as its text.
    return tuple(part.strip(" '\"") for part in text.strip("[] ").split(",") if part.strip(" '\""))


def _as_given(setting: Setting, value: object) -> Any:
    """An argument of ``init`` as a value of its setting; None, for what else says it, when it is of no such kind."""
    if setting.key == "redact_paths":
        return tuple(listed(value))
    kind = type(setting.default)
    found: Any
    if kind is bool:
        found = truth(value)
    elif kind is int or kind is float:
        found = number(value)
        found = kind(found) if found is not None and is_finite(found) else None
    else:
        found = safe_text(value, _TEXT_LIMIT_CHARS)
    if found is None:
        LOGGER.error("tachograph: init(%s=...) cannot be read and is left out.", setting.key)
    return found


_SHARED = {setting.env: setting for setting in settings.SHARED}

TABLE: tuple[Setting, ...] = (
    _SHARED["TACHO_HOME"],
    _SHARED["TACHO_ENDPOINT"],
    _SHARED["TACHO_API_KEY"],
    _SHARED["TACHO_DISABLED"],
    *settings.declare(
        (
            Setting("TACHO_SERVICE", "", "name of the service; default OTEL_SERVICE_NAME"),
            Setting("TACHO_SERVICE_VERSION", "", "version of the service"),
            Setting(
                "TACHO_CAPTURE_LIMIT_BYTES", 65_536, "size of one payload", settings.size_bytes
            ),
            Setting(
                "TACHO_CAPTURE",
                "full",
                "payloads at most: full, preview (512 bytes), hash (keyed), none",
                _policy,
            ),
            Setting(
                "TACHO_REDACT_PATHS",
                "",
                "masked whole: globs over dotted paths, with commas (`*.card,tacho.input.customer.*`)",
                _globs,
            ),
            Setting(
                "TACHO_RECORD",
                "exact",
                "what replay needs of each run: exact, light (digests, which tell differences but replay nothing), off",
                _record_mode,
            ),
            Setting(
                "TACHO_RECORD_THREADS",
                "free",
                "threads of a run: exact (they take turns, which are replayed), free (they go as they like)",
                _threads_mode,
            ),
            Setting("TACHO_REDACT_EMAILS", False, "mask e-mail addresses too", settings.flag),
            Setting(
                "TACHO_HEARTBEAT_S", 5.0, "how often open spans are re-sent; 0: never", _seconds
            ),
            Setting(
                "TACHO_SPOOL_MAX_BYTES",
                256 << 20,
                "spans kept on disk until they are sent, a process; 0: in memory only",
                settings.size_bytes,
            ),
            Setting("TACHO_QUEUE_SPANS", 10_000, "spans kept in memory without a spool", _count),
            Setting(
                "TACHO_QUEUE_BYTES",
                64 << 20,
                "their size in memory without a spool",
                settings.size_bytes,
            ),
            Setting("TACHO_EXPORT_DELAY_S", 1.0, "how long spans gather before a send", _seconds),
            Setting("TACHO_EXPORT_TIMEOUT_S", 10.0, "for one request to the collector", _seconds),
            Setting(
                "TACHO_COMPRESSION",
                "auto",
                "auto (zstd where installed, else gzip except on loopback), zstd, gzip, none",
                _compression,
            ),
            Setting(
                "TACHO_APPROVER",
                "",
                "who `tacho.approve` asks unless it is told: inbox (people, through the collector), or nobody",
                _approver,
            ),
            Setting("TACHO_APPROVAL_TIMEOUT_S", 3_600.0, "how long the inbox is waited for", float),
            Setting(
                "TACHO_APPROVAL_BUDGET_S",
                0.0,
                "how long one run may wait for people in all, then it is refused; 0: no limit",
                float,
            ),
            Setting(
                "TACHO_APPROVALS",
                (),
                "tools that need approval: `[[approvals]]` tables in the file, here a JSON list of them",
                _consent.read,
            ),
            Setting(
                "TACHO_ORDERS",
                True,
                "people can pause and stop runs through the collector",
                settings.flag,
            ),
            Setting(
                "TACHO_PROPAGATE_THREADS",
                True,
                "threads and pools inside a run carry its context",
                settings.flag,
            ),
        )
    ),
)


@dataclass(frozen=True, slots=True)
class Config:
    """The values of the table, with the OpenTelemetry variables taken in."""

    home: str
    endpoint: str
    api_key: str
    disabled: bool
    service: str
    service_version: str
    capture_limit_bytes: int
    capture: Policy
    redact_paths: tuple[str, ...]
    record: str
    record_threads: str
    redact_emails: bool
    heartbeat_s: float
    spool_max_bytes: int
    queue_spans: int
    queue_bytes: int
    export_delay_s: float
    export_timeout_s: float
    compression: str
    approver: str
    approval_timeout_s: float
    approval_budget_s: float
    approvals: tuple[_consent.ApprovalPolicy, ...]
    orders: bool
    propagate_threads: bool
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def traces_url(self) -> str:
        """Where spans are posted."""
        url = self.endpoint.rstrip("/")
        return url if url.endswith("/v1/traces") else f"{url}/v1/traces"


def read(arguments: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Config:
    """Read the settings. A value that cannot be used is logged and its default taken: no raise."""
    environ = dict(os.environ if environ is None else environ)
    try:
        file = settings.read_file()
    except settings.SettingsError as error:
        LOGGER.error("tachograph: %s The file is ignored.", error)
        # But for what somebody may have asked to be careful about.
        file = {"approvals": "?"} if settings.file_mentions("approvals") else {}
    foreign = "" if environ.get("TACHO_ENDPOINT") else _otel_endpoint(environ)
    if foreign:
        environ["TACHO_ENDPOINT"] = foreign
    elif not environ.get("TACHO_ENDPOINT") and "endpoint" not in file:
        environ["TACHO_ENDPOINT"] = _running_collector(environ, file)
    for sentence in settings.misspelt(environ):
        say_rarely(f"setting:{sentence}", "tachograph: %s", sentence)
    values: dict[str, Any] = {}
    given = {
        setting.key: _as_given(setting, arguments[setting.key])
        for setting in TABLE
        if arguments.get(setting.key) is not None and setting.key != "approvals"
    }
    for setting in TABLE:
        try:
            values |= settings.resolve((setting,), given, environ=environ, file=file)
        except settings.SettingsError as error:
            LOGGER.error("tachograph: %s The default %r is used.", error, setting.default)
            values[setting.key] = setting.default
    values["capture"] = _policy(str(values["capture"]))
    in_code = arguments.get("approvals")
    # Not one instead of the other: what somebody wrote into the file holds whatever the code says.
    values["approvals"] = (*values["approvals"], *_consent.read(() if in_code is None else in_code))
    values["redact_paths"] = tuple(values["redact_paths"])
    if is_off_by_opentelemetry(environ) and not values["disabled"]:
        say_rarely("otel-off", "tachograph: nothing is recorded, as OTEL_SDK_DISABLED is true")
        values["disabled"] = True
    uses_foreign = bool(foreign) and values["endpoint"] == foreign
    # Another vendor's collector gives no orders, and has no use for our questions.
    values["orders"] = values["orders"] and not uses_foreign
    headers = _otel_headers(environ) if uses_foreign else ()
    return Config(**values, headers=headers)


def is_off_by_opentelemetry(environ: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry is switched off for the whole process, and with it Tachograph."""
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _running_collector(environ: Mapping[str, str], file: Mapping[str, Any]) -> str:
    """The collector that runs on this machine, wherever its ports are; empty when none does."""
    given = settings.resolve((_SHARED["TACHO_HOME"],), environ=environ, file=file)
    running = read_instance(settings.home(given["home"]))
    return running.collector if running is not None else ""


def _otel_endpoint(environ: Mapping[str, str]) -> str:
    """The endpoint of the OpenTelemetry variables, unless it is for another protocol."""
    if environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf") == "grpc":
        return ""
    return environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "") or environ.get(
        "OTEL_EXPORTER_OTLP_ENDPOINT", ""
    )


def _otel_headers(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    from urllib.parse import unquote

    pairs = environ.get("OTEL_EXPORTER_OTLP_HEADERS", "").split(",")
    split = (pair.partition("=") for pair in pairs if "=" in pair)
    return tuple((name.strip(), unquote(value.strip())) for name, _, value in split)
