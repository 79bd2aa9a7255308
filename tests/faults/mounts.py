"""Filesystems of our own, for harnesses that cut their power or fill them. They need root."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


def why_not() -> str:
    """Why nothing can be mounted here; empty when it can."""
    if os.geteuid() != 0:
        return "mounting needs root"
    with tempfile.TemporaryDirectory() as name:
        image, place = Path(name) / "image", Path(name) / "place"
        place.mkdir()
        try:
            make_image(image, 16 << 20)
            with mounted(image, place):
                return ""
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "") or str(error)
            return f"a loop device cannot be mounted here: {said.strip()}"


def make_image(image: Path, size_bytes: int) -> None:
    """An empty ext4 filesystem in a sparse file."""
    with image.open("wb") as file:
        file.truncate(size_bytes)
    _run("mkfs.ext4", "-q", "-F", str(image))


@contextlib.contextmanager
def mounted(image: Path, place: Path) -> Iterator[None]:
    """The image at ``place``, through a loop device that goes away with the mount."""
    _run("mount", "-o", "loop", str(image), str(place))
    try:
        yield
    finally:
        _unmount(place)


@contextlib.contextmanager
def memory_disk(place: Path, size_bytes: int) -> Iterator[None]:
    """A small tmpfs at ``place``."""
    _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(place))
    try:
        yield
    finally:
        _unmount(place)


def _unmount(place: Path) -> None:
    """At once, or as soon as its last user is gone: a process that died a moment ago may still hold it."""
    try:
        _run("umount", str(place))
    except subprocess.CalledProcessError:
        _run("umount", "--lazy", str(place))


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)
