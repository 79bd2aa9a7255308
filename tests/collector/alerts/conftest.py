"""Alerts over a real engine: bodies are loaded as the loader does."""

from schemas.conftest import load  # noqa: F401
