"""``python -m tachograph_collector``: the collector alone, as ``tacho up --no-dashboard`` runs it."""

from __future__ import annotations

import argparse
import logging
import sys

from tachograph_collector import settings
from tachograph_collector.errors import StartError
from tachograph_schemas.settings import SettingsError, unknown_names


def main() -> int:
    """Run until stopped; 0 after a clean stop, 1 when it cannot start, 2 for bad settings."""
    parser = argparse.ArgumentParser(
        prog="python -m tachograph_collector",
        description="Takes OTLP, stores it in ClickHouse. Settings come from TACHO_* variables and "
        "tacho.toml; one JSON line with the addresses is printed once it is ready.",
    )
    parser.parse_args()
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # uvicorn announces each of our servers with a line; the ready line says it better.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        given = settings.load()
    except SettingsError as error:
        print(f"tachograph collector: {error}", file=sys.stderr)
        return 2
    for sentence in unknown_names():
        logging.getLogger(__name__).warning("%s", sentence)
    # Imported late, so that a wrong setting is reported without loading the engine.
    from tachograph_collector.ending import ends_with
    from tachograph_collector.server import run

    try:
        run(given)
    except StartError as error:
        print(f"tachograph collector: {error}", file=sys.stderr)
        return ends_with(1)
    return ends_with(0)


if __name__ == "__main__":
    sys.exit(main())
