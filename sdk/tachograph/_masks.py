"""What this process masks, for those who mask without sending anything: replays, reports, exports."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from tachograph import _config, _recorder
from tachograph._fingerprint import KEY_FILE, keep_key_in
from tachograph._given import Unreadable, read
from tachograph._guard import LOGGER
from tachograph_schemas.settings import home

if TYPE_CHECKING:
    from tachograph._config import Config
    from tachograph._redact import Hook, Redactor

_Rules = tuple[tuple["Hook | str", ...], tuple[str, ...], bool]
_MOST_RULES = 10_000
_said: _Rules | None = None
_lasting: tuple[_Rules | None, Redactor | None] = None, None
"""What was said last, also after ``tacho.shutdown``, and what masks so once it is asked for."""


def rules_of(given: Iterable[Hook | str] | None) -> tuple[Hook | str, ...] | None:
    """The rules that ``tacho.init(redact=...)`` was given; None when they cannot be read, which is logged."""
    rules = () if given is None else (given,) if type(given) is str else given
    found = read(lambda: tuple(islice(rules, _MOST_RULES)))
    if not isinstance(found, Unreadable):
        return found
    LOGGER.error("tachograph: redact %s. Nothing is recorded.", found.why)
    return None


def use(hooks: Iterable[Hook | str], config: Config) -> None:
    """These rules hold, as ``tacho.init`` was told, also where it starts nothing; and this installation's marks."""
    global _said, _lasting
    _said = tuple(hooks), config.redact_paths, config.redact_emails
    _lasting = _said, None
    _keep_key(config)


def prepare() -> None:
    """Mark secrets as this installation does, where nobody calls ``tacho.init``. Before a fence is up."""
    if _said is None:
        _keep_key(_config.read({}))


def _keep_key(config: Config) -> None:
    folder = home(config.home)
    # A replay makes no files.
    if not _recorder.replaying or (folder / KEY_FILE).is_file():
        keep_key_in(folder)


def forget() -> None:
    """Nobody has called ``tacho.init``."""
    global _said
    _said = None


def said() -> dict[str, Any]:
    """The rules that ``tacho.init`` was told, as its arguments."""
    if _said is None:
        return {}
    return dict(zip(("redact", "redact_paths", "redact_emails"), _said, strict=True))


def redactor() -> Redactor:
    """Masks as ``tacho.init`` was told; where it was not called, as the environment and ``tacho.toml`` say."""
    return _redactor_of(_said)


def lasting_redactor() -> Redactor:
    """The same one while the rules are the same; those of ``tacho.init`` hold after ``tacho.shutdown``, too."""
    global _lasting
    rules, made = _lasting
    if made is None:
        made = _redactor_of(rules)
        if _lasting[0] is rules:
            _lasting = rules, made
    return made


def _redactor_of(rules: _Rules | None) -> Redactor:
    from tachograph._redact import Redactor

    if rules is None:
        config = _config.read({})
        return Redactor(paths=config.redact_paths, emails=config.redact_emails)
    hooks, paths, emails = rules
    return Redactor(hooks, paths=paths, emails=emails)
