"""The statements of ``loader/``, made from files, fragments and tables.

In a file, ``${fragment}`` stands for ``_fragment.sql``; ``${feature?this:that}`` for one of two fragments, or
nothing, as the shape holds the feature; ``${macro:argument}`` for SQL that is made here, mostly from
:mod:`.sources` and :mod:`.kinds`; ``${source}`` stays for the caller.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources

from tachograph_schemas import kinds, sources
from tachograph_schemas.shapes import EVERYTHING, OUTGROWN, Shape

_UNEXPECTED_CODE = 65535  # of an attribute that feeds a field which the shape does not hold


def _text_of(value: str) -> str:
    """SQL for a scalar value as text; null when none of its members is set."""
    return (
        f"coalesce({value}.string_value, toString({value}.int_value), "
        f"toString({value}.double_value), toString({value}.bool_value))"
    )


def _any_text_of(value: str) -> str:
    """SQL for a value as text; arrays become JSON."""
    items = (
        "arrayMap(i -> if(isNotNull(i.string_value), toJSONString(i.string_value), "
        f"ifNull({_text_of('i')}, 'null')), {value}.array_value.values)"
    )
    # Without a scalar the value is an array or absent; the wire does not tell an empty array from none.
    array = (
        f"if(empty({value}.array_value.values), '', "
        f"concat('[', arrayStringConcat({items}, ','), ']'))"
    )
    return f"coalesce({_text_of(value)}, {array})"


def _map_of(attributes: str) -> str:
    """SQL for an attribute list as a map of text; arrays become JSON."""
    pairs = f"arrayMap(a -> (a.key, {_any_text_of('a.value')}), {attributes})"
    return f"CAST({pairs}, 'Map(LowCardinality(String), String)')"


def _exemplars_of(point: str) -> str:
    """SQL for the exemplars of a data point as a JSON array; empty text without any."""
    each = (
        "concat('{\"time_unix_nano\":', toString(e.time_unix_nano), ',\"value\":', "
        "toJSONString(ifNull(toFloat64(e.as_int), e.as_double)), "
        '\',"trace_id":"\', lower(hex(e.trace_id)), \'","span_id":"\', lower(hex(e.span_id)), '
        f"'\",\"attributes\":', toJSONString({_map_of('e.filtered_attributes')}), '}}')"
    )
    array = f"arrayStringConcat(arrayMap(e -> {each}, {point}.exemplars), ',')"
    return f"if(empty({point}.exemplars), '', concat('[', {array}, ']'))"


def _looked_up(value: str, table: Mapping[str, int | str]) -> str:
    """SQL for the entry of ``value`` in a table; 0 or empty text when it has none."""
    keys = ", ".join(_quoted(key) for key in table)
    entries = ", ".join(_quoted(e) if isinstance(e, str) else str(e) for e in table.values())
    absent = "''" if isinstance(next(iter(table.values())), str) else "0"
    found = f"transform({value}, [{keys}], [{entries}], {absent})"
    return found if absent == "''" else f"toUInt16({found})"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


# Columns that only some shapes have, and by which peculiarity.
_COLUMNS = {
    "flat_in": ("flat", "flat_in"),
    "flat_out": ("flat", "flat_out"),
    "turns_in": ("spoken", "turns_in"),
    "turns_out": ("spoken", "turns_out"),
    "tool_message": ("spoken", "tool_message"),
    "choice": ("spoken", "choice"),
    "tool_output": (
        "tool_output",
        "event_attributes[indexOf(event_names, 'tool.output')]['output']",
    ),
}


class _Macros:
    """What stands for ``${macro:argument}`` in a statement for one shape."""

    def __init__(self, shape: Shape) -> None:
        self._holds = shape.holds

    def fill(self, name: str, argument: str) -> str:
        """The SQL for a macro.

        Raises:
            AttributeError: there is no such macro.
        """
        text: str = getattr(self, f"_{name}")(argument)
        return text

    # --- values ---

    def _map(self, attributes: str) -> str:
        return _map_of(attributes)

    def _text(self, value: str) -> str:
        return _any_text_of(value)

    def _exemplars(self, point: str) -> str:
        return _exemplars_of(point)

    # --- what the attributes say ---

    def _sources(self, names: str) -> list[str]:
        """SQL for those fields (or ``@`` columns) that the shape holds."""
        found = []
        for name in names.split():
            peculiarity, column = _COLUMNS.get(name.removeprefix("@"), ("", ""))
            if name.startswith("@"):
                found += [column] if peculiarity in self._holds else []
            else:
                number = sources.field_number(name)
                found += [f"said[{number}]"] if name in self._holds else []
        return found

    def _first(self, names: str) -> str:
        """The first of the fields that says something, else empty text."""
        *before, last = self._sources(names) or ["''"]
        if not before:
            return last
        return f"coalesce({_nulls(before)}, {last})"

    def _or_null(self, names: str) -> str:
        """The first of the fields that says something, else null; for use inside of ``coalesce``."""
        return _nulls(self._sources(names)) or "NULL"

    def _number(self, field: str) -> str:
        return str(sources.field_number(field))

    def _exception(self, what: str) -> str:
        if "exception" not in self._holds:
            return "0" if what == "at" else "''"
        at = "indexOf(event_names, 'exception')"
        return at if what == "at" else f"event_attributes[{at}]['exception.{what}']"

    # --- tables ---

    def _field_code(self, key: str) -> str:
        held = {sources.field_number(name) for name in sources.FIELDS if name in self._holds}
        codes = {
            attribute: code if code // sources.RANKS_PER_FIELD in held else _UNEXPECTED_CODE
            for attribute, code in sources.field_codes().items()
        }
        return _looked_up(key, codes)

    def _kind_rank(self, key: str) -> str:
        return _looked_up(key, {name: rank for rank, name in enumerate(kinds.KINDS, start=1)})

    def _kind(self, said: str) -> str:
        return _looked_up(said, kinds.kind_layers())

    def _usage_code(self, key: str) -> str:
        return _looked_up(key, sources.usage_codes())

    def _first_payload(self, _: str) -> str:
        return str(sources.field_codes()["langfuse.observation.cost_details"])

    # --- what a span is ---

    def _is_flat(self, key: str) -> str:
        return f"match({key}, '^(llm\\\\.(in|out)put_messages|gen_ai\\\\.(prompt|completion))\\\\.[0-9]')"

    def _is_spoken(self, event: str) -> str:
        return (
            f"startsWith({event}, 'gen_ai.') "
            f"AND (endsWith({event}, '.message') OR {event} = 'gen_ai.choice')"
        )

    def _of_family(self, scope: str) -> str:
        cases = ", ".join(
            f"startsWith({scope}, {_quoted(beginning)}), {_quoted(f'{family}/')}"
            for beginning, family in sources.FAMILIES.items()
        )
        return f"multiIf({cases}, '')"

    # --- what the shape leaves out must not be there ---

    def _guard(self, stage: str) -> str:
        """A condition that fails the statement when the rows hold more than the shape; or nothing."""
        absent = {
            "calls": "layer = 'model'",
            "flat": f"arrayExists(k -> {self._is_flat('k')}, keys)",
            "spoken": f"arrayExists(e -> {self._is_spoken('e')}, event_names)",
            "exception": "has(event_names, 'exception')",
            "tool_output": "has(event_names, 'tool.output')",
            "family": f"{self._of_family('scope')} != ''",
        }
        checks = [
            check
            for peculiarity, check in absent.items()
            if peculiarity not in self._holds and (peculiarity == "calls") == (stage == "layer")
        ]
        if stage == "names" and not self._holds.issuperset(sources.FIELDS):
            checks.append(f"found[-1].1 = {_UNEXPECTED_CODE}")
        return f"WHERE NOT throwIf({' OR '.join(checks)}, '{OUTGROWN}')" if checks else ""


def _nulls(values: list[str]) -> str:
    return ", ".join(f"nullIf({value}, '')" for value in values)


@lru_cache(maxsize=64)
def statement(name: str, shape: Shape = EVERYTHING) -> str:
    """A statement of ``loader/`` for a shape; the parameters and ``${source}`` are still to be bound."""
    text = _file(f"{name}.sql")
    while pieces := re.findall(r"\$\{(\w+)(?:\?(\w*):(\w*))?\}", text.replace("${source}", "")):
        for first, held, else_held in set(pieces):
            whole = f"${{{first}?{held}:{else_held}}}" if held or else_held else f"${{{first}}}"
            chosen = first
            if held or else_held:
                chosen = held if first in shape.holds else else_held
            text = text.replace(whole, _fragment(chosen) if chosen else "")
    macros = _Macros(shape)
    return re.sub(r"\$\{(\w+):([^}]+)\}", lambda match: macros.fill(*match.groups()), text)


def _fragment(name: str) -> str:
    return _file(f"_{name}.sql").rstrip()


def _file(name: str) -> str:
    folder = resources.files("tachograph_schemas").joinpath("loader")
    return folder.joinpath(name).read_text(encoding="utf-8")
