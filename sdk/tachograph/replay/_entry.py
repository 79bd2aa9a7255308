"""The function that a recording is of, as it is in the code now.

The tape names it, and what a tape says may come from a stranger. So a module is imported only when its file lies under
the program's folder (or is one of the bundled demo agents), and only a function under ``@tacho.run`` is called.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from tachograph._renamed import former
from tachograph.replay._place import label_of
from tachograph.replay._recording import Recording, RecordingError

MAIN = "__tacho_main__"
"""What a script is called here, so that it does not run as ``__main__``."""


def find_entry(recording: Recording, root: Path, given: str = "") -> Any:
    """The decorated function: ``given`` (``module:function``), else the one that the recording names.

    Raises:
        RecordingError: it is not there, lies outside of ``root``, or is no run.
    """
    named = given or str(recording.run.get("entry", ""))
    module_name, _, qualname = named.partition(":")
    if "<locals>" in qualname:
        raise RecordingError(f"{named} is made inside of a function: name another with --entry")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    if module_name == "__main__":
        module = _script(recording, root)
    else:
        if not given:
            _check_place(module_name, root)
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            raise RecordingError(f"{module_name} cannot be imported: {error}") from error
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    found = found or _renamed(module, qualname)
    if found is None:
        raise RecordingError(
            f"{module.__file__} has no {qualname} any more. If it is called otherwise now, say --entry"
            f' {module_name}:FUNCTION, or aliases="{qualname}" in its @tacho.run'
        )
    if getattr(found, "__tacho_run__", False) is not True:
        raise RecordingError(f"{named} is no function under @tacho.run in {module.__file__}")
    return found


def _renamed(module: Any, qualname: str) -> Any:
    """The run of the module that was called so before."""
    runs = (each for each in vars(module).values() if getattr(each, "__tacho_run__", False) is True)
    return next((each for each in runs if qualname in former(label_of(each))), None)


def _check_place(module_name: str, root: Path) -> None:
    """Look for the file without importing anything on the way to it."""
    top = module_name.partition(".")[0]
    if module_name.startswith("tachograph.demo."):
        return
    spec = PathFinder.find_spec(top)
    places = [spec.origin, *(spec.submodule_search_locations or [])] if spec is not None else []
    if not any(place and Path(place).resolve().is_relative_to(root.resolve()) for place in places):
        raise RecordingError(
            f"the recording is of {module_name}, which is not under {root}. Go where the program is, or say"
            f" --code DIR, or --entry {module_name}:FUNCTION to trust it"
        )


def _script(recording: Recording, root: Path) -> Any:
    recorded = Path(str(recording.run.get("file", "")))
    then = Path(str(recording.run.get("env", {}).get("cwd", "/")))
    inside = recorded.relative_to(then) if recorded.is_relative_to(then) else Path(recorded.name)
    path = (root / inside).resolve()
    if not path.is_relative_to(root.resolve()) or not path.is_file():
        raise RecordingError(f"the recording is of the script {inside}, which is not under {root}")
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(MAIN, path)
    if spec is None or spec.loader is None:
        raise RecordingError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[MAIN] = module
    spec.loader.exec_module(module)
    return module
