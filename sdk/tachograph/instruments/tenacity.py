"""Records the retries of tenacity: attempt, wait, reason, outcome."""

from __future__ import annotations

from tachograph.instruments._retry_seam import install_for, uninstall_for


def install() -> None:
    """Record every retry made with tenacity, by other libraries too. Idempotent."""
    install_for("tenacity")


def uninstall() -> None:
    """Leave tenacity alone, except for what another hook needs."""
    uninstall_for("tenacity")
