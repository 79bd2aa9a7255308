"""Switches recording for replay on and off in this process, for ``tacho.init`` and ``tacho.shutdown``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tachograph import _call
from tachograph.replay import _http, _sources, _threads
from tachograph.replay._seam import hook
from tachograph.replay._session import Session, current, use
from tachograph.replay._ship import Shipper
from tachograph_schemas.settings import home

if TYPE_CHECKING:
    from tachograph._config import Config
    from tachograph._kept import Kept
    from tachograph._redact import Redactor
    from tachograph._screened import Screened

DIRECTORY = "tapes"
"""Under ``TACHO_HOME``: tapes of runs that are under way, and recordings that the collector does not have yet."""


def start(config: Config, redactor: Redactor, screened: Screened, kept: Kept) -> None:
    """Make a tape of every run from now on.

    Args:
        config: What holds for this process.
        redactor: Masks what tapes hold.
        screened: Is told what tapes have looked through.
        kept: What the collector has of the spans.
    """
    directory = home(config.home) / DIRECTORY
    headers = dict(config.headers)
    if config.api_key:
        headers["Authorization"] = f"Bearer {config.api_key}"
    shipper = Shipper(
        directory,
        config.endpoint,
        headers,
        timeout_s=config.export_timeout_s,
        delay_s=config.export_delay_s,
        compression=config.compression,
        kept=kept,
    )
    light = config.record == "light"
    session = Session(directory, redactor, shipper.ship, light=light, screened=screened)
    session.threads = config.record_threads
    session.wait_for_shipping = shipper.wait
    shipper.resume_on(session.drain)
    screened.catch_up = session.drain.write_out
    _sources.install()
    _threads.install()
    _http.install()
    use(session)
    _call.tape_hook = hook


def flush(timeout_s: float) -> bool:
    """Wait until the tapes of finished runs are with the collector, or kept."""
    session = current()
    return session is None or session.flush(timeout_s)


def stop(timeout_s: float) -> None:
    """Make no more tapes. What is not sent within ``timeout_s`` is sent by the next process."""
    _call.tape_hook = None
    session = use(None)
    if session is not None:
        session.flush(timeout_s)
    _http.uninstall()
    _threads.uninstall()
    _sources.uninstall()
