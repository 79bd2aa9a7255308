"""Moments in the reader's own time zone."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def zone(name: str | None) -> tzinfo:
    """The time zone that the browser names; UTC when it names none we know."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def whole(when: datetime, where: tzinfo) -> str:
    """``21 Nov 2026, 14:02:11 CET``."""
    there = when.astimezone(where)
    return f"{there.day} {there:%b %Y, %H:%M:%S} {there.tzname() or ''}".strip()


def minute(when: datetime, where: tzinfo) -> str:
    """``20 Nov, 14:02``: of plans, where the day matters and the second does not."""
    there = when.astimezone(where)
    return f"{there.day} {there:%b, %H:%M}"


def short(when: datetime, where: tzinfo, now: datetime) -> str:
    """``14:02:11`` today, ``20 Nov, 14:02`` this year, ``20 Nov 2025`` before."""
    there, today = when.astimezone(where), now.astimezone(where)
    if there.date() == today.date():
        return f"{there:%H:%M:%S}"
    if there.year == today.year:
        return minute(when, where)
    return f"{there.day} {there:%b %Y}"
