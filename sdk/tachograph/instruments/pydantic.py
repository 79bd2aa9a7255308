"""Records validations by pydantic that the agent's own code asks for.

The seams are the calls that check data from outside: ``model_validate`` and ``model_validate_json`` of models, and
``TypeAdapter``. Recorded are calls in the program's own files, inside a run: libraries validate with pydantic all
the time, and none of that is the harness. Constructors (``Model(...)``) are plain code and stay untouched.
"""

from __future__ import annotations

import functools
import sys
import sysconfig
from collections.abc import Callable
from types import FrameType
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from tachograph._failure import safe_text
from tachograph._frame import frame_of
from tachograph._guard import guarded
from tachograph.instruments._patch import LOCK, unwrap, wrap
from tachograph.instruments._validated import record_validation

_MODEL_CALLS = ("model_validate", "model_validate_json")
_ADAPTER_CALLS = ("validate_python", "validate_json")
_INSTALLED = tuple(
    {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")}
)


def install() -> None:
    """Record validations by every model, those that are defined already too. Idempotent."""
    with LOCK:
        for name in _MODEL_CALLS:
            wrap(BaseModel, name, _recorded)
        for name in _ADAPTER_CALLS:
            wrap(TypeAdapter, name, _recorded)


def uninstall() -> None:
    """Leave pydantic alone."""
    with LOCK:
        unwrap(BaseModel, *_MODEL_CALLS)
        unwrap(TypeAdapter, *_ADAPTER_CALLS)


def _recorded(original: Callable[..., Any]) -> Callable[..., Any]:
    def validate(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if frame_of().run is None or not _is_own_code(sys._getframe(1)):
            return original(self, *args, **kwargs)
        try:
            valid = original(self, *args, **kwargs)
        except ValidationError as error:
            with guarded("recording a validation"):
                record_validation(_name_of(self), error)
            raise
        with guarded("recording a validation"):
            record_validation(_name_of(self), None)
        return valid

    return validate


def _is_own_code(frame: FrameType) -> bool:
    return _is_own_file(frame.f_code.co_filename)


@functools.lru_cache(maxsize=4_096)
def _is_own_file(path: str) -> bool:
    if "site-packages" in path or "dist-packages" in path:
        return False
    return not path.startswith(_INSTALLED)


def _name_of(target: Any) -> str:
    kind = target._type if isinstance(target, TypeAdapter) else target
    name = getattr(kind, "__name__", None)
    return name if isinstance(name, str) and not hasattr(kind, "__args__") else safe_text(kind, 200)
