"""When the engine's data is broken: find the parts, rescue what can be read, set the rest aside.

The engine checks a block's checksum when it reads it, so a flipped bit or a page that a power cut lost makes queries
fail, from then on and for every row of that block. Here the newest parts are checked after a start, and all that an
error names while running. Rows that can still be read are copied, the part is detached (its files stay for a person to
look at), and the loader then stores again what its log still holds of the rest.

Scope: the embedded engine. A server has replicas and an operator.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from tachograph_collector.metrics import Metrics
from tachograph_collector.store import EngineStore
from tachograph_schemas import metric_names, parts
from tachograph_schemas.parts import Part
from tachograph_schemas.store import StoreError

logger = logging.getLogger(__name__)

_CHECKED_BYTES = 1 << 30
"""How much of the newest parts is read to check it: a second or two."""
_CHUNK_ROWS = 1 << 16
_LEAST_ROWS = 8192
"""What the engine reads at once: no smaller piece is worth a try."""


def may_be_broken(error: Exception) -> bool:
    """Whether an error may come from broken files of the engine."""
    return getattr(error, "code", None) in parts.BROKEN_CODES


class Healer:
    """Looks for broken parts; used by the loader's thread."""

    def __init__(self, engine: EngineStore, metrics: Metrics, known_file: Path) -> None:
        self._engine = engine
        self._metrics = metrics
        self._known_file = known_file
        self._pending_file = known_file.with_name("restore_pending")

    @property
    def is_pending(self) -> bool:
        """Whether what broken parts held is still to be stored again, perhaps since an earlier process."""
        return self._pending_file.exists()

    def done(self) -> None:
        """The log holds nothing any more that the engine has not."""
        self._pending_file.unlink(missing_ok=True)

    def heal(self, error_text: str = "") -> bool:
        """Set broken parts aside; whether there were any that were not known before.

        Raises:
            StoreError: the engine refuses to be looked at.
        """
        if not self._engine.embedded:
            return False
        known = self._known()
        with self._engine.session() as client:
            set_aside = parts.detached(client)
            in_use = parts.active(client)
        fresh = [part for part in set_aside if f"{part.table}/{part.name}" not in known]
        for part in fresh:
            logger.error("The engine found a part of %s broken: %s.", part.table, part.name)
            self._metrics.add(metric_names.PARTS_BROKEN, table=part.table)
        broken = [part for part in _suspects(in_use, error_text) if not self._is_sound(part)]
        if fresh or broken:
            # A crash on the way must not make the loss forgotten: a detached part is not found again.
            self._pending_file.touch()
        for part in broken:
            self._set_aside(part)
        if fresh:
            self._remember(set_aside)
        return bool(fresh or broken)

    def _is_sound(self, part: Part) -> bool:
        try:
            with self._engine.session() as client:
                return parts.is_sound(client, part)
        except StoreError as error:
            if may_be_broken(error):
                return False
            # Merged away meanwhile, or not to be checked now: its data is not what is wrong.
            logger.info("The part %s cannot be checked: %s", part.name, error)
            return True

    def _set_aside(self, part: Part) -> None:
        rescued = sum(
            self._rescue(part, first, min(first + _CHUNK_ROWS, part.rows))
            for first in range(0, part.rows, _CHUNK_ROWS)
        )
        with self._engine.session() as client:
            parts.detach(client, part)
        self._metrics.add(metric_names.PARTS_BROKEN, table=part.table)
        logger.error(
            "A part of %s is broken: %s. %d of its %d rows could be read and were kept; its files are "
            "in the table's directory 'detached'.",
            part.table,
            part.name,
            rescued,
            part.rows,
        )

    def _rescue(self, part: Part, first: int, last: int) -> int:
        """Copy the rows of a range that can be read; returns how many."""
        try:
            with self._engine.session() as client:
                parts.copy_rows(client, part, first, last)
        except StoreError as error:
            if not may_be_broken(error):
                raise
            if last - first <= _LEAST_ROWS:
                return 0
            middle = (first + last) // 2
            return self._rescue(part, first, middle) + self._rescue(part, middle, last)
        return last - first

    def _known(self) -> set[str]:
        try:
            return set(json.loads(self._known_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return set()

    def _remember(self, found: list[Part]) -> None:
        listed = sorted(f"{part.table}/{part.name}" for part in found)
        self._known_file.write_text(json.dumps(listed), encoding="utf-8")


def _suspects(in_use: list[Part], error_text: str) -> list[Part]:
    """The parts that an error names, and the newest up to a bound."""
    out = [part for part in in_use if error_text and part.name in error_text]
    room = _CHECKED_BYTES
    for part in in_use:
        room -= part.bytes
        if room < 0:
            break
        if part not in out:
            out.append(part)
    return out
