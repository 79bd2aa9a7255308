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
    from tachograph._redact import Redactor

DIRECTORY = "tapes"
"""Under ``TACHO_HOME``: tapes of runs that are under way, and recordings that the collector does not have yet."""


def start(config: Config, redactor: Redactor) -> None:
    """Make a tape of every run from now on."""
    directory = home(config.home) / DIRECTORY
    headers = dict(config.headers)
    if config.api_key:
        headers["Authorization"] = f"Bearer {config.api_key}"
    shipper = Shipper(directory, config.endpoint, headers, config.export_timeout_s)
    session = Session(directory, redactor, shipper.ship, light=config.record == "light")
    _sources.install()
    _threads.install()
    _http.install()
    use(session)
    _call.tape_hook = hook
    shipper.resume_on(session.drain)


def flush(timeout_s: float) -> bool:
    """Wait until the tapes of finished runs are with the collector, or kept."""
    session = current()
    return session is None or session.drain.wait(timeout_s)


def stop(timeout_s: float) -> None:
    """Make no more tapes. What is not sent within ``timeout_s`` is sent by the next process."""
    _call.tape_hook = None
    session = use(None)
    if session is not None:
        session.drain.wait(timeout_s)
    _http.uninstall()
    _threads.uninstall()
    _sources.uninstall()
