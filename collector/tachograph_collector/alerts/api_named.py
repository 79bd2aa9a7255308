"""What the control API does alike with everything of alerts that goes by a name: list it, and remove one."""

from __future__ import annotations

from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends, FastAPI, HTTPException, Query

from tachograph_collector.control.access import Access, Name, actor
from tachograph_collector.keys import Caller, Right

_Found = TypeVar("_Found")


class Named(Protocol):
    """Things of a project with names: targets, maintenance windows, digests."""

    def listed(self, project: str) -> list[dict[str, Any]]:
        """Those of a project."""

    def remove(self, project: str, name: str, actor: str) -> dict[str, Any] | None:
        """Remove one; ``None`` when there is none."""


def add_named(api: FastAPI, path: str, rows: Named, access: Access, remover: Right) -> None:
    """Add ``GET`` and ``DELETE`` of ``path``; removing wants the right ``remover``."""
    what = path.rpartition("/")[2]
    looking, removing = Depends(access.needs("look")), Depends(access.needs(remover))

    @api.get(path, description=f"The {what} of the project; nothing of them that is a secret.")
    def listed(caller: Caller = looking) -> dict[str, Any]:
        return {what: rows.listed(caller.project)}

    @api.delete(path, description=f"Remove one of the {what}, by its name.")
    def remove(
        name: Annotated[Name, Query(min_length=1)],
        caller: Caller = removing,
        by: Annotated[Name, Query()] = "",
    ) -> dict[str, Any]:
        gone = rows.remove(caller.project, name, actor(by, caller))
        return there(gone, f"There is no {what.removesuffix('s')} {name!r} in this project.")


def there(
    found: _Found | None, missing: str = "There is nothing of that name in this project."
) -> _Found:
    """What was asked for, or HTTP 404."""
    if found is None:
        raise HTTPException(404, missing)
    return found
