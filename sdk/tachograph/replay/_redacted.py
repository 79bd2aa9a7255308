"""A recording made fit to be passed on: secrets masked by the rules of today, and no paths of this machine."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

from tachograph import _masks
from tachograph.replay._recording import Recording
from tachograph.replay._session import masking
from tachograph_schemas import tapes

_PAYLOADS = ("a", "v", "args")
_PROGRAM = PurePosixPath("/program")


def redacted(recording: Recording) -> bytes:
    """The ``.tacho`` file of a recording, masked; equal recordings give equal files."""
    mask = masking(_masks.redactor())
    texts: dict[str, str] = {}
    renamed: dict[str, str] = {}
    for name, tree in recording.blobs.items():
        text = mask(_json(tree))
        renamed[name] = tapes.blob_name(text)
        texts[renamed[name]] = text
    crc, lines = 0, []
    for record in recording.records:
        line, crc = tapes.frame(_json(_masked(record, mask, renamed)), crc)
        lines.append(line)
    return tapes.zipped(b"".join(lines), texts)


def _masked(record: dict[str, Any], mask: Any, renamed: dict[str, str]) -> dict[str, Any]:
    out = dict(record)
    for key in _PAYLOADS:
        tree = out.get(key)
        if isinstance(tree, dict) and tree.get("$") == "blob":
            out[key] = {**tree, "h": renamed[tree["h"]]}
        elif isinstance(tree, str | dict | list):
            out[key] = json.loads(mask(_json(tree)))
    if out["t"] == "run":
        _without_places(out)
    return out


def _without_places(run: dict[str, Any]) -> None:
    """Where the program was is nobody's business; where its script was in there is needed."""
    env = dict(run.get("env") or {})
    cwd, file = PurePosixPath(str(env.get("cwd", "/"))), PurePosixPath(str(run.get("file", "")))
    inside = file.relative_to(cwd) if file.is_relative_to(cwd) else PurePosixPath(file.name)
    run["env"] = {**env, "cwd": str(_PROGRAM)}
    run["file"] = str(_PROGRAM / inside)


def _json(tree: Any) -> str:
    return json.dumps(tree, separators=(",", ":"))
