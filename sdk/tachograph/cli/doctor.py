"""``tacho doctor``: checks the installation and says what to do."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tachograph.cli import checks_local, checks_services, quarantine
from tachograph.cli.check import Check
from tachograph.cli.problem import ANSWER_IS_NO
from tachograph.cli.terminal import Paint, paint_for, print_json, print_lines, width, wrapped
from tachograph_schemas.instance import Instance, read_instance
from tachograph_schemas.settings import SHARED, SettingsError, home, resolve

_MARKS = {"ok": "✓", "warn": "!", "fail": "✗"}
_TONES = {"ok": "good", "warn": "warn", "fail": "bad"}
_NAME_WIDTH = 22


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="check the installation and say what to do",
        description="Check Python, packages, settings, TACHO_HOME, collector, storage and dashboard.",
    )
    parser.add_argument(
        "--settings",
        action="store_true",
        help="list every setting, its value and where it comes from",
    )
    parser.add_argument(
        "--retry-quarantine",
        action="store_true",
        help="put bodies that the engine could not store through again, now or at the collector's next "
        "start; what fails again comes back with its new reason. Exit code 1 when any does",
    )
    parser.add_argument("--width", type=int, metavar="COLUMNS", help="default: the terminal's")
    parser.add_argument("--json", action="store_true", help="print checks and settings as JSON")
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """0 when nothing fails (warnings are allowed), else 1."""
    if arguments.retry_quarantine:
        return _retry_quarantine(as_json=arguments.json)
    checks, settings = examine()
    verdict = checks_local.worst(checks)
    if arguments.json:
        print_json(
            {"state": verdict, "checks": [asdict(check) for check in checks], "settings": settings}
        )
    else:
        paint = paint_for(sys.stdout)
        columns = width(arguments.width)
        print_lines(line for check in checks for line in _lines(check, columns, paint))
        if arguments.settings:
            print_lines(_settings(settings, columns, paint))
        print_lines(["", _summary(checks)])
    return ANSWER_IS_NO if verdict == "fail" else 0


def examine() -> tuple[list[Check], list[dict[str, Any]]]:
    """Run every check; asks the network for a few seconds at most."""
    found, rows = checks_local.settings_in_force()
    checks = [checks_local.python(), *checks_local.packages(), *found]
    try:
        values = resolve(SHARED)
    except SettingsError:
        return checks, rows
    folder = home(values["home"])
    instance, endpoint = _whereabouts(folder, str(values["endpoint"]))
    checks += checks_local.home_directory(folder, runs_here=instance is not None)
    checks += checks_services.collector(endpoint, str(values["api_key"]), instance)
    checks += quarantine.checks(folder, endpoint, str(values["api_key"]))
    checks += checks_services.storage()
    checks += checks_services.dashboard(instance, str(values["clickhouse"]))
    return checks, rows


def _whereabouts(folder: Path, endpoint: str) -> tuple[Instance | None, str]:
    instance = read_instance(folder)
    if instance is not None and _is_default("endpoint"):
        # A collector on a port of its own choosing is found through its announcement.
        return instance, instance.collector
    return instance, endpoint


def _retry_quarantine(*, as_json: bool) -> int:
    values = resolve(SHARED)
    folder = home(values["home"])
    _, endpoint = _whereabouts(folder, str(values["endpoint"]))
    outcome = quarantine.retry(folder, endpoint, str(values["api_key"]))
    if as_json:
        print_json(outcome)
    else:
        print_lines([quarantine.sentence(outcome)])
    return ANSWER_IS_NO if outcome["came_back"] or outcome["problem"] else 0


def _is_default(key: str) -> bool:
    from tachograph_schemas.settings import read_file

    return not os.environ.get(f"TACHO_{key.upper()}") and not read_file().get(key)


def _lines(check: Check, columns: int, paint: Paint) -> list[str]:
    indent = " " * (_NAME_WIDTH + 2)
    first = f"{_MARKS[check.state]} {check.name:<{_NAME_WIDTH}}"
    lines = [
        paint(each, _TONES[check.state] if check.state != "ok" else "")
        for each in wrapped(check.said, columns, indent, first)
    ]
    return lines + (
        wrapped(check.todo, columns, f"{indent}  ", f"{indent}→ ") if check.todo else []
    )


def _settings(rows: list[dict[str, Any]], columns: int, paint: Paint) -> list[str]:
    lines = ["", paint("Settings", "bold")]
    for row in rows:
        lines += wrapped(f"{row['name']} = {row['value']} ({row['source']})", columns, "    ", "  ")
        lines += [paint(each, "dim") for each in wrapped(str(row["help"]), columns, "    ")]
    return lines


def _summary(checks: list[Check]) -> str:
    failed = sum(check.state == "fail" for check in checks)
    warned = sum(check.state == "warn" for check in checks)
    if failed:
        return f"{failed} of {len(checks)} checks failed."
    return f"All is well{f', with {warned} warnings' if warned > 1 else ', with 1 warning' if warned else ''}."
