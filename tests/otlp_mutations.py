"""Hostile OTLP bodies: sound ones, changed with an eye for the structure of protobuf and of JSON."""

from __future__ import annotations

import base64
import json
import math
import random
import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otlp import Trace

ODD_TEXT = [
    "",
    "\x00",
    "é",
    "🤔",
    "\u202e",
    "' OR 1",
    "\\",
    '"',
    "a/b",
    "\u2028",
    "x" * 300,
    "]",
    "\n",
]
ODD_NUMBERS = [0, 1, -1, 2**31, 2**32 - 1, 2**63 - 1, -(2**63), 2**64 - 1, 10]
ODD_DOUBLES = [0.0, -0.0, 0.1, 1e21, 1e-7, 123456789012345680000.0, 5e-324, math.nan, math.inf]


# --- sound bodies to begin with ---


def value(chance: random.Random, level: int = 0):
    kind = chance.randrange(10 if level < 3 else 7)
    if kind < 2:
        return chance.choice(ODD_TEXT)
    if kind < 7:
        return [
            chance.randrange(-5, 5),
            chance.choice([n for n in ODD_NUMBERS if -(2**63) <= n < 2**63]),
            chance.choice(ODD_DOUBLES),
            chance.random() < 0.5,
            None,
        ][kind - 2]
    if kind == 7:
        return chance.randbytes(chance.randrange(5))
    inner = [value(chance, level + 1) for _ in range(chance.randrange(4))]
    return inner if kind == 8 else {f"k{n}": item for n, item in enumerate(inner)}


def sound_request(chance: random.Random) -> ExportTraceServiceRequest:
    trace = Trace(chance.randrange(1, 2**127))
    for number in range(1, chance.randrange(2, 5)):
        given = {f"a{n}": value(chance) for n in range(chance.randrange(4))}
        events = [("e", {"k": value(chance)})] if chance.random() < 0.4 else []
        trace.span(number, chance.choice(ODD_TEXT), number - 1 or None, events=events, **given)
    span = trace.request.resource_spans[0].scope_spans[0].spans[0]
    if chance.random() < 0.3:
        span.links.add(trace_id=chance.randbytes(16), span_id=chance.randbytes(8))
    return trace.request


# --- mutations of protobuf, by its structure ---


def varint(number: int) -> bytes:
    out = bytearray()
    number &= 2**64 - 1
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return number, at


def fields(data: bytes) -> list[tuple[int, int, bytes]]:
    """Field number, wire type and content of each field of a sound message."""
    out, at = [], 0
    while at < len(data):
        tag, at = read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        if not number or wire not in {0, 1, 2, 5}:
            raise ValueError("no message")
        if wire == 0:
            start = at
            _, at = read_varint(data, at)
        elif wire == 2:
            size, start = read_varint(data, at)
            at = start + size
        else:
            start, at = at, at + (8 if wire == 1 else 4)
        if at > len(data):
            raise ValueError("cut")
        out.append((number, wire, data[start:at]))
    return out


def joined(given: list[tuple[int, int, bytes]]) -> bytes:
    return b"".join(
        varint(number << 3 | wire) + (varint(len(content)) if wire == 2 else b"") + content
        for number, wire, content in given
    )


def mutate_message(chance: random.Random, data: bytes, depth: int = 0) -> bytes:
    """Change something in a message, usually deep inside it."""
    try:
        given = fields(data)
    except (ValueError, IndexError):
        return mutate_bytes(chance, data)
    if not given:
        return joined([(chance.randrange(1, 20), 0, b"\x01")])
    at = chance.randrange(len(given))
    number, wire, content = given[at]
    if wire == 2 and depth < 12 and chance.random() < 0.8:
        given[at] = (number, wire, mutate_message(chance, content, depth + 1))
        return joined(given)
    match chance.randrange(12):
        case 0:
            del given[at]
        case 1:
            given.insert(chance.randrange(len(given) + 1), given[at])
        case 2:
            chance.shuffle(given)
        case 3:
            given[at] = (chance.randrange(1, 20), wire, content)
        case 4:
            given[at] = (number, 2, chance.choice(ODD_TEXT).encode())
        case 5:
            given[at] = (number, 0, varint(chance.choice(ODD_NUMBERS)))
        case 6:
            given[at] = (number, chance.choice([1, 5]), chance.randbytes(8))
        case 7:
            given.insert(at, (chance.choice([9, 111, 2**29 - 1]), 2, chance.randbytes(4)))
        case 8:
            given[at] = (number, wire, content + chance.choice([b"\xff", b"\xed\xa0\x80", b"\xc0"]))
        case 9:
            # A length that lies.
            lie = varint(number << 3 | 2) + varint(chance.choice([5, 2**31, 2**63, 2**64 - 1]))
            return joined(given[:at]) + lie + content + joined(given[at + 1 :])
        case 10:
            # A group, which old protobuf had.
            group = varint(number << 3 | 3) + content[:9] + varint(number << 3 | 4)
            return joined(given[:at]) + group + joined(given[at:])
        case _:
            # The same number written at greater length than needed.
            tag = varint(number << 3 | wire)
            longer = tag[:-1] + bytes([tag[-1] | 128, 128, 0])
            rest = (varint(len(content)) if wire == 2 else b"") + content
            return joined(given[:at]) + longer + rest + joined(given[at + 1 :])
    return joined(given)


def mutate_bytes(chance: random.Random, data: bytes) -> bytes:
    """Change some bytes, blindly."""
    out = bytearray(data or b"\x00")
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(out) or 1)
        match chance.randrange(4):
            case 0:
                out[at : at + 1] = chance.randbytes(1)
            case 1:
                del out[at : at + chance.randint(1, 9)]
            case 2:
                out[at:at] = chance.randbytes(chance.randint(1, 9))
            case _:
                out[at:at] = out[at : at + chance.randint(1, 30)]
    return bytes(out)


def protobuf_body(chance: random.Random) -> bytes:
    body = sound_request(chance).SerializeToString()
    for _ in range(chance.randrange(4)):
        mutate = mutate_bytes if chance.random() < 0.15 else mutate_message
        body = mutate(chance, body)
    return body


# --- mutations of JSON, by its structure ---

ODD_JSON = [
    *(None, True, [], {}, [[]], {"values": []}, "", "NaN", "-1", "1e3", "\ud800", "AP8=", "zz"),
    *(0, -1, 0.5, 1e300, 2**63, 2**64, 10**30, math.nan, math.inf),
    {"stringValue": "x", "intValue": "1"},
    {"kvlistValue": {"values": [{"key": "k", "value": {"bytesValue": "AP8"}}]}},
    {"arrayValue": {"values": [{"arrayValue": {}}, {"doubleValue": None}]}},
]


def json_value(item) -> dict:
    if item is None:
        return {}
    if isinstance(item, bool):
        return {"boolValue": item}
    if isinstance(item, int):
        return {"intValue": str(item)}
    if isinstance(item, float):
        return {"doubleValue": item if math.isfinite(item) else None}
    if isinstance(item, bytes):
        return {"bytesValue": base64.b64encode(item).decode()}
    if isinstance(item, list):
        return {"arrayValue": {"values": [json_value(child) for child in item]}}
    if isinstance(item, dict):
        return {"kvlistValue": {"values": json_pairs(item)}}
    return {"stringValue": item}


def json_pairs(given: dict) -> list[dict]:
    return [{"key": key, "value": json_value(item)} for key, item in given.items()]


def json_request(chance: random.Random) -> dict:
    spans = [
        {
            "traceId": chance.randbytes(16).hex(),
            "spanId": chance.randbytes(8).hex(),
            "name": chance.choice(ODD_TEXT),
            "kind": chance.choice([0, 3, "SPAN_KIND_SERVER"]),
            "startTimeUnixNano": str(time.time_ns()),
            "endTimeUnixNano": time.time_ns(),
            "attributes": json_pairs({f"a{n}": value(chance) for n in range(3)}),
            "events": [{"name": "e", "timeUnixNano": "5", "attributes": json_pairs({"k": 1})}],
            "status": {"code": chance.choice([0, 2]), "message": "m"},
        }
        for _ in range(chance.randrange(1, 3))
    ]
    resource = {"attributes": json_pairs({"service.name": "shop"})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}


def places(node) -> list[tuple[object, object]]:
    """Every container and key in a tree."""
    keys = list(node) if isinstance(node, dict) else range(len(node))
    out = [(node, key) for key in keys]
    for key in keys:
        if isinstance(node[key], dict | list):
            out += places(node[key])
    return out


def json_body(chance: random.Random) -> bytes:
    tree = json_request(chance)
    for _ in range(chance.randrange(4)):
        owner, key = chance.choice(places(tree) or [({"x": 0}, "x")])
        match chance.randrange(4):
            case 0:
                del owner[key]
            case 1 if isinstance(owner, dict):
                owner[chance.choice(["name", "kind", "key", "value", "intValue", "spans"])] = (
                    owner.pop(key)
                )
            case _:
                owner[key] = json.loads(json.dumps(chance.choice(ODD_JSON)))
    body = json.dumps(tree, ensure_ascii=chance.random() < 0.7).encode("utf-8", "surrogatepass")
    return mutate_bytes(chance, body) if chance.random() < 0.15 else body
