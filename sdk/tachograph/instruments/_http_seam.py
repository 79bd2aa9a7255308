"""Requests to the user's own services carry the run's context; requests to others carry nothing of it.

Own are hosts that only a private network resolves: loopback, private addresses, names without a dot, and the
reserved endings. The headers are put on each single request, after redirects and authentication, and taken off
again: a redirect to somewhere else starts from the request as the program made it.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable
from typing import Any

from tachograph._carry import context_headers
from tachograph._guard import guarded
from tachograph.instruments._patch import LOCK, unwrap, wrap

_SEAM = "_send_single_request"
_OWN_ENDINGS = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc")


def install_on(library: Any) -> None:
    """Carry the context in requests of ``library``: ``httpx`` or what became of it. Idempotent."""
    with LOCK:
        wrap(library.Client, _SEAM, _carrying)
        wrap(library.AsyncClient, _SEAM, _carrying_async)


def uninstall_from(library: Any) -> None:
    """Leave ``library`` alone."""
    with LOCK:
        unwrap(library.Client, _SEAM)
        unwrap(library.AsyncClient, _SEAM)


def _carrying(original: Callable[..., Any]) -> Callable[..., Any]:
    def _send_single_request(self: Any, request: Any) -> Any:
        added = _add_to(request)
        try:
            return original(self, request)
        finally:
            _take_off(request, added)

    return _send_single_request


def _carrying_async(original: Callable[..., Any]) -> Callable[..., Any]:
    async def _send_single_request(self: Any, request: Any) -> Any:
        added = _add_to(request)
        try:
            return await original(self, request)
        finally:
            _take_off(request, added)

    return _send_single_request


def _add_to(request: Any) -> list[str]:
    added: list[str] = []
    with guarded("carrying the run in a request"):
        if is_own_host(request.url.host):
            for name, value in context_headers().items():
                # What the program sent by itself is right, whatever it says.
                if name not in request.headers:
                    request.headers[name] = value
                    added.append(name)
    return added


def _take_off(request: Any, added: list[str]) -> None:
    with guarded("carrying the run in a request"):
        for name in added:
            request.headers.pop(name, None)


@functools.lru_cache(maxsize=1_024)
def is_own_host(host: str) -> bool:
    """Whether ``host`` is one that only a private network knows."""
    name = host.lower().rstrip(".")
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return bool(name) and ("." not in name or name.endswith(_OWN_ENDINGS))
    return address.is_loopback or address.is_private
