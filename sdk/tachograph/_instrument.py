"""Switching on the hooks into other libraries by name.

A hook is put in when its library is imported: at once where the program has it already, else by a finder in
front of ``sys.meta_path`` that waits for that import. So asking for all that is installed imports nothing, and a
program pays only for what it uses. docs/decisions/0013-hooks.md says why.
"""

from __future__ import annotations

import atexit
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from tachograph import _on_import, _setup
from tachograph._failure import safe_text
from tachograph._given import NAME_LIMIT_CHARS
from tachograph._guard import LOGGER, guarded


@dataclass(frozen=True, slots=True)
class Hook:
    """A library that can be recorded."""

    module: str
    """The module whose import puts the hook in; a submodule where others may own the package's name."""
    distribution: str
    oldest: tuple[int, ...]
    """The first version that the tests have seen."""
    below: int
    """The major version that the tests have not seen."""
    extra: bool = False
    """Whether ``tachograph[NAME]`` exists."""

    @property
    def requirement(self) -> str:
        """The supported versions, as pip reads them."""
        return f"{self.distribution}>={'.'.join(map(str, self.oldest))},<{self.below}"


HOOKS = {
    "anthropic": Hook("anthropic", "anthropic", (1,), 3, extra=True),
    "claude-agent-sdk": Hook("claude_agent_sdk", "claude-agent-sdk", (0, 1), 1),
    "httpx": Hook("httpx", "httpx", (0, 25), 1),
    "httpx2": Hook("httpx2", "httpx2", (2,), 3),
    "instructor": Hook("instructor", "instructor", (1, 15), 2),
    "langgraph": Hook("langgraph.pregel", "langgraph", (1,), 2),
    "mcp": Hook("mcp", "mcp", (1, 23), 3),
    "openai": Hook("openai", "openai", (2,), 4, extra=True),
    "openai-agents": Hook("agents.tracing", "openai-agents", (0, 20), 1),
    "purgatory": Hook("purgatory", "purgatory", (3,), 4),
    "pybreaker": Hook("pybreaker", "pybreaker", (1, 4), 2),
    "pydantic": Hook("pydantic", "pydantic", (2,), 3),
    "stamina": Hook("stamina", "stamina", (24,), 27),
    "tenacity": Hook("tenacity", "tenacity", (8, 2), 10),
}
"""Hook, and its module in ``tachograph.instruments``, to its library."""

_warned: set[str] = set()


def instrument(*names: str) -> list[str]:
    """Record what happens in other libraries: ``tacho.instrument("anthropic", "tenacity")``.

    Nothing is imported by this: a library that the program has not imported yet is hooked into when it is.
    What the library does, returns and raises stays as it is.

    Args:
        names: Which ones; none means all that are installed. Asking twice does no harm.

    Returns:
        The hooks that are on now, of those asked for.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
        ImportError: the library is not installed; the message has the command that installs it.
    """
    names = _checked(names)
    versions = {name: _version(HOOKS[name]) for name in names or HOOKS}
    for name in names:
        if versions[name] is None:
            hook = HOOKS[name]
            what = f"tachograph[{name}]" if hook.extra else hook.requirement
            raise ImportError(
                f"the library for {name!r} is not installed: pip install '{what}'", name=hook.module
            )
    wanted = [name for name, version in versions.items() if version is not None]
    atexit.unregister(_say_unrecorded)
    atexit.register(_say_unrecorded)
    for name in wanted:
        _warn_of_version(name, cast(str, versions[name]))
        _on_import.call_after(HOOKS[name].module, name, _installer(name))
    return wanted


def uninstrument(*names: str) -> None:
    """Give libraries their own methods back: those named, or all. What was recorded stays.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
    """
    for name in _checked(names) or HOOKS:
        if _on_import.forget(HOOKS[name].module, name):
            with guarded(f"taking the hook out of {name}"):
                _module(name).uninstall()


def _say_unrecorded() -> None:
    # Decorators may stand in a library that nobody records; who asks for hooks wants a record.
    if not _setup.is_wanted():
        LOGGER.warning(
            "tachograph: instrument() was called and init() was not: nothing was recorded"
        )


def _checked(given: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(safe_text(name, NAME_LIMIT_CHARS) for name in given)
    unknown = [name for name in names if name not in HOOKS]
    if unknown:
        known = ", ".join(sorted(HOOKS))
        raise ValueError(f"no instrument is called {unknown[0]!r}; there are: {known}")
    return names


def _installer(name: str) -> Callable[[], None]:
    def install() -> None:
        with guarded(f"hooking into {name}"):
            _module(name).install()

    return install


def _module(name: str) -> Any:
    return importlib.import_module(f"tachograph.instruments.{name.replace('-', '_')}")


def _version(hook: Hook) -> str | None:
    # Imported here: it is slow, and programs that hook into nothing do without.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(hook.distribution)
    except PackageNotFoundError:
        return None


def _warn_of_version(name: str, version: str) -> None:
    """Say once that a version was not tested. It is hooked into all the same, as far as it can be."""
    hook = HOOKS[name]
    found = tuple(int(digits) for digits in re.findall(r"\d+", version)[:3])
    if name in _warned or (hook.oldest <= found and found[:1] < (hook.below,)):
        return
    _warned.add(name)
    LOGGER.warning(
        "tachograph hooks into %s %s, which it was not tested with; tested: %s. "
        "Less may be recorded; the library itself is not affected.",
        hook.distribution,
        version,
        hook.requirement,
    )
