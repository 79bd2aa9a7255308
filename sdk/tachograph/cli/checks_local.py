"""What ``tacho doctor`` looks at without the network: packages, settings, the home directory."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import stat
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from tachograph.cli.check import Check
from tachograph.cli.connection import without_secret
from tachograph_schemas import settings
from tachograph_schemas.settings import Setting, SettingsError

_OLDEST = (3, 11)
_EXTRAS = ("server", "anthropic", "grpc")
_LEAST_FREE_BYTES = 1 << 30
# Each part declares its own table when it is imported; parts that are not installed have none in force.
_PARTS = ("tachograph._config", "tachograph_collector.settings", "tachograph_dashboard.settings")
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+).*?;\s*extra\s*==\s*['\"]([a-z]+)['\"]")


def python() -> Check:
    """The interpreter."""
    said = f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})"
    if sys.version_info < _OLDEST:
        return Check("Python", "fail", said, "Tachograph needs Python 3.11 or later.")
    return Check("Python", "ok", said)


def packages() -> list[Check]:
    """Tachograph itself, and each extra with the versions it found."""
    try:
        own = metadata.distribution("tachograph")
    except metadata.PackageNotFoundError:
        return [
            Check("tachograph", "warn", "runs from a folder that is not installed", "pip install .")
        ]
    wanted: dict[str, list[str]] = {extra: [] for extra in _EXTRAS}
    for requirement in own.requires or []:
        match = _REQUIREMENT.match(requirement)
        if match and match[2] in wanted:
            wanted[match[2]].append(match[1])
    checks = [Check("tachograph", "ok", own.version)]
    return checks + [_extra(name, needed) for name, needed in wanted.items()]


def _extra(extra: str, needed: list[str]) -> Check:
    found: list[str] = []
    missing: list[str] = []
    for package in needed:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            missing.append(package)
    name = f"tachograph[{extra}]"
    install = f'pip install "{name}"'
    if not missing:
        return Check(name, "ok", ", ".join(found))
    if not found:
        # The light SDK alone is a complete installation of an agent's machine.
        return Check(name, "ok", f"not installed; if it is wanted here: {install}")
    return Check(name, "warn", f"incomplete, missing: {', '.join(missing)}", install)


def declare_all() -> None:
    """Have every installed part declare its settings, so that none of them counts as misspelt."""
    for part in _PARTS:
        with suppress(ImportError):
            importlib.import_module(part)


def settings_in_force() -> tuple[list[Check], list[dict[str, Any]]]:
    """Problems with the settings, and every setting with its value and where it comes from."""
    declare_all()
    checks: list[Check] = []
    try:
        file = settings.read_file()
    except SettingsError as error:
        return [Check("Settings", "fail", str(error))], []
    rows: list[dict[str, Any]] = []
    for setting in sorted(settings.known().values(), key=lambda each: each.env):
        try:
            rows.append(_row(setting, file))
        except SettingsError as error:
            checks.append(Check("Settings", "fail", str(error), f"Correct or unset {setting.env}."))
    for sentence in settings.unknown_names(file=file):
        what, _, hint = sentence.partition("; ")
        checks.append(Check("Settings", "warn", what, hint[:1].upper() + hint[1:]))
    checks += _switched_off(rows)
    changed = [row for row in rows if row["source"] != "default"]
    said = ", ".join(f"{row['name']}={row['value']} ({row['source']})" for row in changed)
    checks.append(Check("Settings", "ok", said or "all at their defaults"))
    return checks, rows


def _switched_off(rows: Iterable[Mapping[str, Any]]) -> list[Check]:
    """Programs that are started with these settings record nothing: wanted, or the fault that is looked for."""
    from tachograph._config import is_off_by_opentelemetry

    switches = ["OTEL_SDK_DISABLED=true"] if is_off_by_opentelemetry(os.environ) else []
    switches += ["TACHO_DISABLED"] * any(
        row["name"] == "TACHO_DISABLED" and row["value"] for row in rows
    )
    return [
        Check(
            "Settings",
            "warn",
            f"{switch} is set: programs that are started from here record nothing",
            f"Unset {switch.partition('=')[0]} to record.",
        )
        for switch in switches
    ]


def _row(setting: Setting, file: Mapping[str, Any]) -> dict[str, Any]:
    value = settings.resolve([setting], file=file)[setting.key]
    if os.environ.get(setting.env):
        source = "environment"
    elif file.get(setting.key) not in {None, ""}:
        source = settings.FILE_NAME
    else:
        source = "default"
    return {
        "name": setting.env,
        "value": _shown(setting, value),
        "source": source,
        "help": setting.help,
    }


def _shown(setting: Setting, value: Any) -> Any:
    if "KEY" in setting.env or "TOKEN" in setting.env:
        return "(set)" if value else ""
    return without_secret(value) if isinstance(value, str) else value


def home_directory(folder: Path, *, runs_here: bool) -> list[Check]:
    """``TACHO_HOME``: there, writable, private, with room."""
    name = "TACHO_HOME"
    if not folder.exists():
        if runs_here:
            return [
                Check(
                    name,
                    "fail",
                    f"{folder} is gone",
                    "Stop the collector and start `tacho up` again.",
                )
            ]
        return [Check(name, "ok", f"{folder} does not exist yet; `tacho up` makes it")]
    if not folder.is_dir():
        return [Check(name, "fail", f"{folder} is not a directory", "Remove it or set TACHO_HOME.")]
    if not os.access(folder, os.W_OK | os.X_OK):
        return [Check(name, "fail", f"{folder} cannot be written", f"chown or chmod {folder}.")]
    checks = [Check(name, "ok", str(folder))]
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o022:
        checks.append(
            Check(
                name,
                "warn",
                f"{folder} can be written by other users ({mode:04o})",
                f"chmod 700 {folder}",
            )
        )
    checks.extend(
        _private(folder / file)
        for file in ("instance.json", "gateway.token")
        if _is_open(folder / file)
    )
    free = shutil.disk_usage(folder).free
    said = f"{free / 1e9:,.1f} GB free"
    if free < _LEAST_FREE_BYTES:
        checks.append(
            Check("Disk", "warn", said, "Free some space: below 256 MiB clients are told to wait.")
        )
    else:
        checks.append(Check("Disk", "ok", said))
    return checks


def _is_open(path: Path) -> bool:
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    except OSError:
        return False


def _private(path: Path) -> Check:
    return Check(
        "TACHO_HOME",
        "fail",
        f"{path} can be read by other users, and holds a token",
        f"chmod 600 {path}",
    )


def worst(checks: Iterable[Check]) -> str:
    """``fail``, ``warn`` or ``ok``: the gravest state among the checks."""
    states = {check.state for check in checks}
    return "fail" if "fail" in states else "warn" if "warn" in states else "ok"
