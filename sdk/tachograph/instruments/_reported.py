"""Errors that a library returns instead of raising them."""

from __future__ import annotations


class ReportedError(Exception):
    """What the other side said went wrong; made for the record only, never raised."""
