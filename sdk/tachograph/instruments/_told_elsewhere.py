"""What one hook leaves to another that knows more about it."""

from __future__ import annotations

LOOPS: set[str] = set()
"""Packages whose loops of attempts are recorded by a hook of their own, not as retries."""
