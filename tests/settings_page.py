"""docs/settings.md, written from the tables of settings. `python tests/settings_page.py` writes it anew."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
INTRO = """# Settings

Precedence everywhere: argument > environment > `tacho.toml` in the working directory > default. A key in `tacho.toml` is
the variable's name without `TACHO_`, in lower case (`http_port = 4318`). Unknown keys there are errors; unknown `TACHO_*`
variables are warned about. `tacho doctor --settings` shows what is in force and where it comes from.

Sizes take a number of bytes or the suffixes KiB, MiB, GiB. Ports take 0 for a free one. Flags are 1 or 0.

This page is written from the code: `python tests/settings_page.py`.
"""
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def render() -> str:
    """The page as it must be."""
    import tachograph._config
    import tachograph_collector.gateway.limits
    import tachograph_collector.settings
    import tachograph_dashboard.settings
    from tachograph_schemas.settings import SHARED

    shared = {row.env for row in SHARED}
    parts = (
        ("Shared", SHARED),
        ("SDK", tachograph._config.TABLE),
        ("Collector", tachograph_collector.settings.TABLE),
        ("Gateway", tachograph_collector.gateway.limits.TABLE),
        ("Dashboard", tachograph_dashboard.settings.TABLE),
    )
    lines = [INTRO]
    for title, table in parts:
        rows = [row for row in table if title == "Shared" or row.env not in shared]
        if not rows:
            continue
        lines += [f"## {title}", "", "| variable | default | what |", "| --- | --- | --- |"]
        lines += [f"| `{row.env}` | {_shown(row)} | {row.help} |" for row in rows]
        lines.append("")
    return "\n".join(lines)


def _shown(row: object) -> str:
    default = row.default
    if isinstance(default, bool):
        return str(int(default))
    if isinstance(default, int) and row.env.endswith("_BYTES"):
        for size, unit in _SIZES:
            if default >= size and default % size == 0:
                return f"{default // size} {unit}"
    return "none" if default == "" else f"{default}"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
