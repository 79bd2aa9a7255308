"""The control API's part on API keys and the audit log."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict

from tachograph_collector.control.access import Access, Name, actor
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.keys import KeyStore, Role
from tachograph_collector.keys import Caller
from tachograph_schemas.control import AUDIT, KEYS

_Id = Annotated[str, Path(pattern="^[0-9a-f]{12}$")]


class Wanted(BaseModel):
    """A key to make."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    role: Role
    project: Name = ""
    """Empty: the caller's own."""
    actor: Name = ""


def add_keys(api: FastAPI, store: KeyStore, audit: Audit, access: Access) -> None:
    """Add ``/api/v1/keys`` and ``/api/v1/audit``."""
    administering = Depends(access.needs("administer"))

    @api.post(KEYS)
    def create(wanted: Wanted, caller: Caller = administering) -> dict[str, Any]:
        """Make a key. The answer is the only place that ever shows it."""
        project = wanted.project or caller.project
        if not _reaches(caller, project):
            raise HTTPException(403, f"This key makes keys of project {caller.project} only.")
        try:
            key, text = store.create(wanted.name, wanted.role, project, actor(wanted.actor, caller))
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        return asdict(key) | {"key": text}

    @api.get(KEYS)
    def listed(caller: Caller = administering) -> dict[str, Any]:
        """Keys without their secrets, revoked ones too."""
        return {"keys": [asdict(key) for key in store.listed() if _reaches(caller, key.project)]}

    @api.delete(KEYS + "/{key_id}")
    def revoke(
        key_id: _Id, caller: Caller = administering, by: Annotated[Name, Query()] = ""
    ) -> dict[str, Any]:
        """End a key, now and for good."""
        known = store.get(key_id)
        if known is None or not _reaches(caller, known.project):
            raise HTTPException(404, "There is no such key.")
        return asdict(store.revoke(key_id, actor(by, caller)) or known)

    @api.get(AUDIT)
    def entries(
        caller: Caller = administering,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
        before: Annotated[int | None, Query(ge=1, le=1 << 60)] = None,
    ) -> dict[str, Any]:
        """Changes and decisions, the newest first."""
        project = None if caller.is_owner else caller.project
        return {"entries": [asdict(entry) for entry in audit.entries(project, limit, before)]}

    @api.get(AUDIT + "/verify")
    def verify(caller: Caller = administering) -> dict[str, Any]:
        """Whether the log is what was written, of all projects."""
        return asdict(audit.verify() if caller.is_owner else audit.verify_for(caller.project))


def _reaches(caller: Caller, project: str) -> bool:
    return caller.is_owner or caller.project == project
