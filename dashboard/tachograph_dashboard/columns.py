"""The spans of a run as typed columns: what the tree in the browser draws from.

Wire format: a little-endian u32 with the length of a JSON header, the header (padded with spaces so that
the rest starts at a multiple of eight), then one array per column in the order of :data:`COLUMNS`. Times are milliseconds from the first
span's start as 64-bit floats, exact to a nanosecond over weeks.
"""

from __future__ import annotations

import gzip
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tachograph_schemas import words
from tachograph_schemas.names import LAYERS

OPEN, ERROR, WARN, BAD = 1, 2, 4, 8
"""Bits of the column ``flags``: still open, ended with an error, mended or doubtful, refused."""

COLUMNS: tuple[tuple[str, str], ...] = (
    ("start", "<f8"),
    ("duration", "<f8"),
    ("id", "V8"),
    ("tokens", "<f8"),
    ("cost", "<f8"),
    ("parent", "<i4"),
    ("name", "<u4"),
    ("layer", "|u1"),
    ("flags", "|u1"),
)
_LAYER_INDEX = {layer: index for index, layer in enumerate(LAYERS)}
_NAME_CHARS = 200
_PLAIN_ID = re.compile(r"[0-9a-f]{16}")
_VERDICT_FLAGS = {
    "deny": BAD,
    "fail": BAD,
    "gave_up": BAD,
    "refused": BAD,
    "stopped": BAD,
    "opened": BAD,
    "out_of_scope": BAD,
    "escalate": WARN,
    "timeout": WARN,
    "warned": WARN,
    "repaired": WARN,
    "unknown": WARN,
    "half_open": WARN,
    "pending": WARN,
    "restored": WARN,
}


@dataclass(frozen=True, slots=True)
class TreeColumns:
    """The columns of one run."""

    count: int
    packed: bytes
    """The wire format, gzipped."""


def tree_columns(rows: Mapping[str, list[Any]]) -> TreeColumns:
    """Pack the columns of ``queries.tree``."""
    ids: list[str] = rows["span_id"]
    count = len(ids)
    starts = np.array(rows["start_ns"], dtype=np.int64)
    first = int(starts.min()) if count else 0
    names, name_of = _labels(rows)
    odd = {str(index): text for index, text in enumerate(ids) if not _PLAIN_ID.fullmatch(text)}
    raw_ids = b"".join(
        bytes(8) if str(index) in odd else bytes.fromhex(text) for index, text in enumerate(ids)
    )
    columns: dict[str, NDArray[Any]] = {
        "start": (starts - first) / 1e6,
        "duration": np.array(rows["duration_ns"], dtype=np.float64) / 1e6,
        "id": np.frombuffer(raw_ids, dtype="V8"),
        "tokens": np.array(rows["tokens"], dtype=np.float64),
        "cost": np.array([np.nan if x is None else x for x in rows["cost_usd"]], dtype=np.float64),
        "parent": np.array(parents(ids, rows["parent_span_id"]), dtype=np.int32),
        "name": np.array(name_of, dtype=np.uint32),
        "layer": np.array(
            [_LAYER_INDEX.get(layer, _LAYER_INDEX["other"]) for layer in rows["layer"]],
            dtype=np.uint8,
        ),
        "flags": np.array(_flags(rows), dtype=np.uint8),
    }
    header = {"n": count, "names": names, "odd": odd}
    return TreeColumns(count, gzip.compress(_pack(header, columns), 5))


def parents(ids: list[str], parent_ids: list[str]) -> list[int]:
    """The index of each span's parent, -1 for none; a ring of parents is cut, so that all are shown."""
    at = {span_id: index for index, span_id in enumerate(ids)}
    found = [at.get(parent_id, -1) for parent_id in parent_ids]
    state = bytearray(len(ids))  # 0 not seen, 1 on the way up, 2 leads to a root
    for index in range(len(ids)):
        way = []
        here = index
        while here >= 0 and state[here] == 0:
            state[here] = 1
            way.append(here)
            here = found[here]
        if here >= 0 and state[here] == 1:
            found[here] = -1
        for passed in way:
            state[passed] = 2
    return found


def _labels(rows: Mapping[str, list[Any]]) -> tuple[list[str], list[int]]:
    """The distinct labels, display-safe, and which one each span has: a tool goes by its own name."""
    index: dict[str, int] = {}
    which = [
        index.setdefault(tool if layer == "tool" and tool else name, len(index))
        for name, layer, tool in zip(rows["name"], rows["layer"], rows["tool"], strict=True)
    ]
    return [words.excerpt(label, _NAME_CHARS) or "(no name)" for label in index], which


def _flags(rows: Mapping[str, list[Any]]) -> list[int]:
    return [
        (OPEN if is_open else 0)
        # A retry or a fallback names the failure that it answers to; that one is shown where it happened.
        | ((WARN if layer in {"retry", "fallback"} else ERROR) if status == "error" else 0)
        | _VERDICT_FLAGS.get(verdict, 0)
        for verdict, status, is_open, layer in zip(
            rows["verdict"], rows["status"], rows["is_open"], rows["layer"], strict=True
        )
    ]


def _pack(header: dict[str, Any], columns: Mapping[str, NDArray[Any]]) -> bytes:
    head = json.dumps(header, ensure_ascii=True, separators=(",", ":")).encode()
    padding = -(4 + len(head)) % 8
    arrays = [columns[name].astype(kind, copy=False).tobytes() for name, kind in COLUMNS]
    return b"".join((struct.pack("<I", len(head) + padding), head, b" " * padding, *arrays))
