"""Files that people write for the command line: YAML, TOML or JSON."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Final

from tachograph.cli.problem import USAGE, Problem

_MOST_VALUES: Final = 200_000


def read_document(path: Path) -> Any:
    """What a YAML, TOML or JSON file holds.

    Raises:
        Problem: it cannot be read.
    """
    try:
        document = _parsed(path)
        _check_size(document)
    except ImportError as error:
        raise Problem(
            "YAML needs PyYAML: pip install 'tachograph[server]', or use TOML or JSON.", code=USAGE
        ) from error
    except OSError as error:
        raise Problem(f"{path} cannot be read: {error.strerror}.", code=USAGE) from error
    except Exception as error:
        # Every parser has its own kind of error.
        raise Problem(f"{path} cannot be read: {_gist(error)}.", code=USAGE) from error
    return document


def _gist(error: Exception) -> str:
    """What is wrong and where, on one line: YAML draws the place over several."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is not None and problem:
        return f"line {mark.line + 1}: {problem}"
    return " ".join(str(error).split()).rstrip(".")


def _parsed(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return json.loads(text)
    if path.suffix == ".toml":
        return tomllib.loads(text)
    import yaml

    return yaml.safe_load(text)


def _check_size(document: Any) -> None:
    """Aliases of YAML are few bytes in the file, and all that they stand for in everything made of it."""
    left = [document]
    for _ in range(_MOST_VALUES):
        if not left:
            return
        value = left.pop()
        if isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list | tuple | set):
            left += value
    raise ValueError(f"it holds more than {_MOST_VALUES:,} values, its aliases written out")
