"""Put the application together and run it until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import importlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.middleware import Middleware

from tachograph_dashboard.settings import DashboardSettings, read
from tachograph_schemas.settings import SettingsError, refuse_unknown

_MAIN = Path(__file__).parent / "main.py"
_BACKLOG = 128
_STOP_GRACE_S = 3
_PR_SET_PDEATHSIG = 1
EXIT_USAGE = 2
_log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the dashboard until SIGINT or SIGTERM; the exit code.

    Prints ``{"dashboard": URL}`` as one line when it is ready.
    """
    arguments = _parser().parse_args(argv)
    if arguments.parent and not _dies_with(arguments.parent):
        return 0
    try:
        refuse_unknown()
        settings = read(
            {
                "host": arguments.host,
                "dashboard_port": arguments.port,
                "clickhouse": arguments.clickhouse,
            }
        )
        listener = _listen(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    _run(settings, listener)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tachograph_dashboard",
        description="Serve the Tachograph dashboard on this machine.",
    )
    parser.add_argument("--host", help="address to listen on (TACHO_HOST)")
    parser.add_argument("--port", type=int, help="0 picks a free one (TACHO_DASHBOARD_PORT)")
    parser.add_argument("--clickhouse", help="DSN of the store (TACHO_CLICKHOUSE)")
    parser.add_argument("--parent", type=int, help="end when this process does, which started it")
    return parser


def _dies_with(parent: int) -> bool:
    """Have the kernel end this process when ``parent`` is killed: it has no state to save. False if it is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return os.getppid() == parent


def _listen(settings: DashboardSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"The dashboard cannot listen on {settings.host}:{settings.port} ({error.strerror}). "
            "Set TACHO_DASHBOARD_PORT to another port, or to 0 for any free one."
        ) from error
    return listener


def _run(settings: DashboardSettings, listener: socket.socket) -> None:
    # The pages run in threads of this process and find store and collector here.
    os.environ["TACHO_CLICKHOUSE"] = settings.clickhouse
    os.environ["TACHO_ENDPOINT"] = settings.endpoint
    os.environ["TACHO_API_KEY"] = settings.api_key
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{host}:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        application(settings.public_host),
        ws="websockets-sansio",
        ws_max_size=4 * 1024 * 1024,
        ws_per_message_deflate=False,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_STOP_GRACE_S,
    )
    # uvicorn raises the signal that stopped it once more when it is done; a stop we were asked for is
    # no failure.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: None)
    _Announcing(config, address).run(sockets=[listener])


class _Announcing(uvicorn.Server):
    """A server that says where it is as soon as it answers."""

    def __init__(self, config: uvicorn.Config, address: str) -> None:
        super().__init__(config)
        self._address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(json.dumps({"dashboard": self._address}), flush=True)


def application(public_host: str = "") -> Any:
    """The ASGI application: pages, routes and the guards around them."""
    import streamlit as st

    from tachograph_dashboard.headers import Guard
    from tachograph_dashboard.routes import ROUTES
    from tachograph_dashboard.shell import Shell
    from tachograph_dashboard.static_files import CompressedStatic

    return st.App(
        _MAIN,
        routes=ROUTES,
        middleware=[
            Middleware(Guard, public_host=public_host),
            Middleware(CompressedStatic),
            Middleware(Shell),
        ],
        lifespan=_lifespan,
        on_script_error=_explain,
    )


@asynccontextmanager
async def _lifespan(_app: Any) -> AsyncIterator[dict[str, Any]]:
    await asyncio.to_thread(_warm)
    # A full collection follows every run of a page, in all sessions' time. What is loaded now stays for
    # good; frozen, it is not visited again, and a rerun costs a tenth.
    gc.collect()
    gc.freeze()
    yield {}


def _warm() -> None:
    """Import what the pages need and open the store before the first visitor."""
    from tachograph_dashboard import components, data
    from tachograph_dashboard.views import details, header, telling

    for name in ("pandas", "pyarrow"):
        importlib.import_module(name)
    _log.debug("warmed %s", (components, details, header, telling))
    try:
        data.facets()
    except data.StoreError as error:
        _log.warning("The store does not answer yet: %s", type(error).__name__)


def _explain(error: Exception) -> bool:
    """A page failed: log the trace, show a calm sentence."""
    import streamlit as st

    _log.error("A page failed", exc_info=error)
    st.error(
        "This page could not be shown. Runs are still being recorded; the reason is in the "
        "dashboard's log.",
        icon=":material/error:",
    )
    return True
