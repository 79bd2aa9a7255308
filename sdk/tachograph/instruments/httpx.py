"""Carries the run's context in requests that httpx sends to the user's own services. Makes no spans."""

from __future__ import annotations

import httpx

from tachograph.instruments._http_seam import install_on, uninstall_from


def install() -> None:
    """Wrap the clients' sending, sync and async. Idempotent; clients that exist already are covered too."""
    install_on(httpx)


def uninstall() -> None:
    """Leave httpx alone."""
    uninstall_from(httpx)
