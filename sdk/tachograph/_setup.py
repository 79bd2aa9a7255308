"""``init``, ``flush`` and ``shutdown``: putting the recorder, the provider and the sender together."""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tachograph import (
    _call,
    _config,
    _consent,
    _control,
    _masks,
    _orders,
    _price_list,
    _recorder,
    _shared_budgets,
    _threads,
)
from tachograph._given import seconds
from tachograph._guard import LOGGER, guarded, under_pytest
from tachograph._waits import Mutex
from tachograph_schemas import names

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    from tachograph._config import Config
    from tachograph._consent import ApprovalPolicy
    from tachograph._policy import Policy
    from tachograph._recorder import Recorder
    from tachograph._redact import Hook, Redactor
    from tachograph._sender import Sender
    from tachograph._transport import Transport

EXIT_TIMEOUT_S = 1.8
"""How long the exit of the process waits for a collector that accepts nothing: two seconds, less the interpreter's end."""

_lock = Mutex()
_sender: Sender | None = None
_init_called = False
_hooks_registered = False
_without_export: Recorder | None = None


def init(
    *,
    service: str | None = None,
    service_version: str | None = None,
    endpoint: str | None = None,
    api_key: str | None = None,
    redact: Iterable[Hook | str] | None = None,
    redact_paths: Iterable[str] | None = None,
    redact_emails: bool | None = None,
    capture: Policy | None = None,
    capture_limit_bytes: int | None = None,
    heartbeat_s: float | None = None,
    propagate_threads: bool | None = None,
    record: Literal["exact", "light", "off"] | None = None,
    approver: str | None = None,
    approvals: Iterable[ApprovalPolicy] | None = None,
    approval_budget_s: float | None = None,
    disabled: bool | None = None,
) -> None:
    """Start recording in this process. Never raises, never waits for the collector.

    Each setting is taken from the argument, else the environment (``TACHO_<NAME>``), else ``tacho.toml``,
    else its default. A second call changes nothing. If the program has set an OpenTelemetry tracer
    provider, Tachograph joins it; otherwise it sets one, so that other instrumentation nests and is exported.

    Args:
        service: The service's name; default ``OTEL_SERVICE_NAME``, else the script's name.
        service_version: Its version.
        endpoint: The collector's URL; default ``http://127.0.0.1:4318``.
        api_key: Sent as ``Authorization: Bearer``.
        redact: More to mask before anything leaves the process: regexes, or functions
            ``f(attribute_name, text)`` that return the text to keep; the value is replaced if one raises.
        redact_paths: Places to mask whole: globs over dotted paths, as in ``*.card_number``.
        redact_emails: Mask e-mail addresses too; default False.
        capture: Payloads at most: ``full``, ``preview`` (512 bytes), ``hash`` (keyed) or ``none``.
        capture_limit_bytes: Size of one captured payload; default 65536.
        heartbeat_s: Seconds between reports of spans that are still open; 0 for none.
        propagate_threads: Threads and thread pools used inside a run belong to it; default True.
        record: What is kept for replay: ``exact`` (all it takes, the default), ``light`` (digests), ``off``.
        approver: Whom ``tacho.approve`` asks: ``inbox`` (people, through the collector) or nobody.
        approvals: Which tools a person has to allow, beside what ``tacho.toml`` says.
        approval_budget_s: Seconds that one run may wait for people in all; 0 for no limit.
        disabled: Record nothing at all.
    """
    given = locals()
    _begin({key: value for key, value in given.items() if key != "redact"}, redact)


def _begin(arguments: dict[str, Any], redact: Iterable[Hook | str] | None) -> None:
    global _init_called
    _init_called = True
    with guarded("starting"), _lock:
        if _sender is not None:
            LOGGER.debug("tachograph: init was called before; this call changes nothing")
            return
        config, hooks = _config.read(arguments), _masks.rules_of(redact)
        # Also with the SDK off, and in a replay: the code asks there as it did, and is answered from the record.
        _consent.use(config.approvals)
        if hooks is None:
            return
        _masks.use(hooks, config)
        if not config.disabled and not _recorder.replaying:
            _start(config)


def _start(config: Config) -> None:
    global _sender
    # Imported here: `import tachograph` must stay fast for programs that record nothing.
    from tachograph_schemas.settings import home

    try:
        transport = transport_for(config)
    except ValueError as problem:
        if under_pytest():
            raise
        LOGGER.error("tachograph: %s Nothing is recorded.", problem)
        return
    provider = _provider(config)
    recorder = _recorder_on(provider, config.capture_limit_bytes)
    if _without_export is not None and _without_export.sinks:
        # A test collects spans around this call: it is to see those made from now on, too.
        recorder.lean = False
    recorder.capture_policy = config.capture
    folder = home(config.home)
    redactor = _masks.redactor()
    sender = _sender_for(recorder, transport, redactor, provider, config, folder)
    recorder.keeper = sender
    _reach_people(config, redactor, folder)
    if config.propagate_threads:
        _threads.install()
    _sender = sender
    _recorder.activate(recorder)
    if config.record != "off":
        from tachograph.replay import _boot

        _boot.start(config, redactor, sender.screened, sender.name_bodies())
    _register_hooks()


def transport_for(config: Config) -> Transport:
    """The way to the collector.

    Raises:
        ValueError: the endpoint is no URL; the text says what to set.
    """
    from tachograph._transport import Transport

    headers = dict(config.headers)
    if config.api_key:
        headers["Authorization"] = f"Bearer {config.api_key}"
    try:
        return Transport(config.traces_url, headers, config.compression)
    except ValueError as problem:
        raise ValueError(
            f"the endpoint {config.endpoint!r} cannot be used: {problem}. "
            "Set TACHO_ENDPOINT to the URL of a collector, such as http://127.0.0.1:4318."
        ) from problem


def _sender_for(
    recorder: Recorder,
    transport: Transport,
    redactor: Redactor,
    provider: TracerProvider,
    config: Config,
    folder: Path,
) -> Sender:
    from tachograph import _orphans, _otlp
    from tachograph._export import Exporter
    from tachograph._sender import Sender
    from tachograph._spool import Spool

    destination = _orphans.destination_of(transport, redactor)
    resource, scope = _otlp.resource(provider.resource), _otlp.field(0x0A, b"tachograph")
    service = str(provider.resource.attributes.get(names.SERVICE_NAME, ""))
    spool = Spool(
        folder if config.spool_max_bytes else None,
        _orphans.about(service, destination, resource, scope),
        max_bytes=config.spool_max_bytes,
        memory_records=config.queue_spans,
        memory_bytes=config.queue_bytes,
    )
    recovery = partial(_orphans.Recovery, folder, transport, redactor, destination)
    sender = Sender(
        recorder,
        Exporter(transport, redactor, resource, scope),
        spool,
        config,
        lambda: recovery(sender.timeout_s).steps(),
    )
    spool.open()
    return sender


def _reach_people(config: Config, redactor: Redactor, folder: Path) -> None:
    """Questions to the inbox, and orders from people, over the collector's control API."""
    from tachograph_schemas.control_client import ControlClient

    client = ControlClient(config.endpoint, config.api_key)
    times_s = config.approval_timeout_s, config.approval_budget_s
    _control.connect(_control.Line(client, redactor, config.approver, *times_s, config.capture))
    if config.orders:
        _orders.follow(client)
        _shared_budgets.connect(client, folder)
    _price_list.connect(client, folder)


def _provider(config: Config) -> TracerProvider:
    """The program's provider when it has set one; else ours, set for the whole program."""
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    present = trace.get_tracer_provider()
    if isinstance(present, TracerProvider):
        return present
    attributes: dict[str, Any] = {"telemetry.distro.name": "tachograph"}
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    if config.service or not named:
        attributes[names.SERVICE_NAME] = config.service or _script_name()
    if config.service_version:
        attributes[names.SERVICE_VERSION] = config.service_version
    ours = _own_provider(Resource.create(attributes))
    trace.set_tracer_provider(ours)
    return ours


def _own_provider(resource: Resource) -> TracerProvider:
    from opentelemetry.sdk.trace import TracerProvider

    from tachograph._processor import TachographProcessor

    class OwnProvider(TracerProvider):
        """The provider of a program that has none. Nobody else looks at our spans, until somebody does."""

        tachograph_alone = True

        def add_span_processor(self, span_processor: SpanProcessor) -> None:
            """Somebody who is not us wants to see every span: from now on ours are made for all."""
            super().add_span_processor(span_processor)
            if not isinstance(span_processor, TachographProcessor):
                self.tachograph_alone = False
                for recorder in (_recorder.active(), _without_export):
                    if recorder is not None:
                        recorder.lean = False

    return OwnProvider(resource=resource, shutdown_on_exit=False)


def _script_name() -> str:
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return str(spec.name).removesuffix(".__main__")
    return Path(sys.argv[0]).stem if sys.argv and sys.argv[0] not in {"", "-c"} else "python"


def _recorder_on(provider: TracerProvider, capture_limit_bytes: int) -> Recorder:
    from tachograph._processor import TachographProcessor

    recorder = _recorder.Recorder(
        provider.get_tracer("tachograph"),
        capture_limit_bytes,
        lean=getattr(provider, "tachograph_alone", False),
    )
    provider.add_span_processor(TachographProcessor(recorder))
    return recorder


def is_wanted() -> bool:
    """Whether the program, or its test, has said what is to become of its spans; off counts."""
    return _init_called or _without_export is not None or _config.read({}).disabled


def recorder_without_export() -> Recorder:
    """A recorder whose spans go nowhere but to sinks: for the test kit. One for the process."""
    global _without_export
    with _lock:
        if _without_export is None:
            config = _config.read({})
            _without_export = _recorder_on(_provider(config), config.capture_limit_bytes)
        return _without_export


def flush(timeout_s: float = 5.0) -> bool:
    """Send what was recorded so far. Blocks for ``timeout_s`` at most. Never raises.

    Returns:
        True only if the collector accepted everything recorded since the last flush; True as well
        when the SDK is off, as there is nothing to send.
    """
    sender = _sender
    if sender is None:
        return True
    with guarded("flushing"):
        timeout_s = seconds(timeout_s) or 0.0
        started_s = time.monotonic()
        sent = sender.flush(timeout_s)
        if _call.tape_hook is not None:
            from tachograph.replay import _boot

            _boot.flush(max(timeout_s - (time.monotonic() - started_s), 0.0))
        return sent
    return False


def shutdown(timeout_s: float = 2.0) -> bool:
    """Send what is left and stop recording. Blocks for ``timeout_s`` at most. Never raises.

    Returns:
        Whether the collector accepted everything since the last flush.
    """
    return _stop(seconds(timeout_s) or 0.0, patient=False)


def _stop(timeout_s: float, *, patient: bool) -> bool:
    global _sender
    with _lock:
        sender, _sender = _sender, None
    if sender is None:
        return True
    with guarded("shutting down"):
        recorder = _recorder.activate(None)
        if recorder is not None:
            with recorder.lock:
                recorder.sinks.clear()
                recorder.keeper = None
        _masks.forget()
        _threads.uninstall()
        _control.connect(None)
        _orders.forget()
        _shared_budgets.connect(None)
        _price_list.connect(None)
        taping, _call.tape_hook = _call.tape_hook is not None, None
        started_s = time.monotonic()
        sent = sender.shutdown(timeout_s, patient=patient)
        if taping:
            from tachograph.replay import _boot

            # Tapes were sent meanwhile, by a thread of their own.
            _boot.stop(max(timeout_s - (time.monotonic() - started_s), 0.1))
        return sent
    return False


def _register_hooks() -> None:
    global _hooks_registered
    if _hooks_registered:
        return
    _hooks_registered = True
    atexit.register(_at_exit)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


def _at_exit() -> None:
    _stop(EXIT_TIMEOUT_S, patient=True)
    with guarded("ending"):
        from tachograph._screen import end_re2

        end_re2()


def _before_fork() -> None:
    """Children of ``multiprocessing`` leave without ``atexit``; it offers hooks of its own."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None and not getattr(_before_fork, "done", False):
        _before_fork.done = True  # type: ignore[attr-defined]  # once in the process
        util.register_after_fork(_stop, _finish_with_child)


def _finish_with_child(_: object) -> None:
    from multiprocessing.util import Finalize

    Finalize(None, _at_exit, exitpriority=0)


def _after_fork() -> None:
    global _lock
    _lock = Mutex()
    with guarded("renewing after a fork"):
        recorder = _recorder.active()
        if recorder is not None:
            recorder.after_fork()
        if _sender is not None:
            _sender.after_fork()
