"""One virtual environment for each peer: their requirements contradict each other, and imports are measured."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from .pins import PINS

INSTALL_TIMEOUT_S = 1200


class NotInstalledError(Exception):
    """A peer that cannot be measured; the text is the installer's reason."""


@dataclass(frozen=True)
class Environment:
    """Where a peer is installed."""

    directory: Path
    version: str
    """What pip calls the first requirement's version."""

    @property
    def python(self) -> Path:
        return self.directory / "bin" / "python"


def default_directory() -> Path:
    """The user's cache directory."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "tachograph" / "peers"


def clean_environment() -> dict[str, str]:
    """This process's variables without those that would steer a peer, or keep it from writing bytecode.

    Import time without bytecode files would measure the compiler.
    """
    dropped = ("TACHO_", "OTEL_", "MLFLOW_", "PHOENIX_", "LANG", "PYTHONDONTWRITEBYTECODE")
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(dropped) and not key.lower().endswith("_proxy")
    }


def ensure(directory: Path, peer: str) -> Environment:
    """The environment of ``peer``, made when it is absent or its pins have changed; blocks for minutes.

    Raises:
        NotInstalledError: the installer refused; the environment is removed.
    """
    wanted = PINS[peer]
    place = directory / peer
    # The name of the mark changes with the pins, so that a half-made or outdated place is made anew.
    mark = place / f"installed-{hashlib.sha256(' '.join(wanted).encode()).hexdigest()[:12]}"
    if not mark.exists():
        shutil.rmtree(place, ignore_errors=True)
        try:
            _install(place, wanted)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        mark.touch()
    return Environment(place, _version(place / "bin" / "python", wanted[0]))


def _install(place: Path, wanted: tuple[str, ...]) -> None:
    print(f"installing {' '.join(wanted)} into {place.name}", file=sys.stderr, flush=True)
    venv.create(place, with_pip=True)
    python = str(place / "bin" / "python")
    # pip gives up on some of these requirements ("resolution impossible") that uv resolves.
    if uv := shutil.which(
        "uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ):
        words = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *wanted]
    else:
        words = [python, "-m", "pip", "install", "--quiet", "--compile", *wanted]
    try:
        done = subprocess.run(
            words,
            check=False,
            env=os.environ,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise NotInstalledError(f"the installation took more than {INSTALL_TIMEOUT_S} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["the installer said nothing"]
        raise NotInstalledError(lines[-1][:300])


def _version(python: Path, requirement: str) -> str:
    code = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
    name = requirement.partition("==")[0]
    done = subprocess.run([python, "-c", code, name], capture_output=True, text=True, check=True)
    return done.stdout.strip()
