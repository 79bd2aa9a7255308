"""Which settings a client may bring, and how far.

A session is opened with these settings and then made read-only, so the engine itself refuses any other.
What has no effect on the engine (how the answer travels) is taken by the gateway or dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from tachograph_collector.gateway.errors import (
    BAD_ARGUMENTS,
    READONLY,
    SETTING_CONSTRAINT_VIOLATION,
    GatewayError,
)
from tachograph_collector.gateway.limits import Limits

# Parameters of the protocol, not of the engine. Sessions hold no state here: nothing can be set in one.
TRANSPORT = frozenset(
    [
        "add_http_cors_header",
        "buffer_size",
        "cancel_http_readonly_queries_on_client_close",
        "client_protocol_version",
        "compress",
        "database",
        "decompress",
        "default_format",
        "enable_http_compression",
        "http_headers_progress_interval_ms",
        "http_native_compression_disable_checksumming_on_decompress",
        "http_response_buffer_size",
        "http_wait_end_of_query",
        "http_write_exception_in_output_format",
        "http_zlib_compression_level",
        "log_comment",
        "log_queries",
        "password",
        "query",
        "query_id",
        "quota_key",
        "role",
        "send_progress_in_http_headers",
        "session_check",
        "session_id",
        "session_timeout",
        "stacktrace",
        "user",
        "wait_end_of_query",
    ]
)

_HARMLESS = frozenset(
    [
        "allow_experimental_analyzer",
        "any_join_distinct_right_table_keys",
        "asterisk_include_alias_columns",
        "asterisk_include_materialized_columns",
        "cast_ipv4_ipv6_default_on_conversion_error",
        "cast_keep_nullable",
        "cast_string_to_date_time_mode",
        "cast_string_to_dynamic_use_inference",
        "cast_string_to_variant_use_inference",
        "count_distinct_implementation",
        "date_time_input_format",
        "date_time_output_format",
        "date_time_overflow_behavior",
        "decimal_check_overflow",
        "distinct_overflow_mode",
        "distributed_product_mode",
        "empty_result_for_aggregation_by_empty_set",
        "enable_analyzer",
        "enable_time_time64_type",
        "extremes",
        "final",
        "format_csv_delimiter",
        "format_csv_null_representation",
        "format_custom_escaping_rule",
        "format_custom_field_delimiter",
        "format_custom_result_after_delimiter",
        "format_custom_result_before_delimiter",
        "format_custom_row_after_delimiter",
        "format_custom_row_before_delimiter",
        "format_custom_row_between_delimiter",
        "format_tsv_null_representation",
        "formatdatetime_parsedatetime_m_is_month_name",
        "group_by_overflow_mode",
        "group_by_use_nulls",
        "join_algorithm",
        "join_default_strictness",
        "join_overflow_mode",
        "join_use_nulls",
        "limit",
        "max_ast_depth",
        "offset",
        "optimize_aggregation_in_order",
        "optimize_read_in_order",
        "prefer_column_name_to_alias",
        "read_overflow_mode",
        "result_overflow_mode",
        "session_timezone",
        "set_overflow_mode",
        "sort_overflow_mode",
        "timeout_overflow_mode",
        "totals_mode",
        "transform_null_in",
        "union_default_mode",
        "use_query_condition_cache",
        "use_skip_indexes",
    ]
)
_HARMLESS_PREFIX = "output_format_"
# Of the output formats' settings, those that name a file the engine would write.
_HARMFUL = frozenset({"output_format_schema", "output_format_avro_confluent_subject"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
_MAX_BLOCK_ROWS = 1 << 20


def is_allowed(name: str) -> bool:
    """Whether a client may set ``name`` at all."""
    if name in _HARMFUL:
        return False
    return name in _HARMLESS or name in _CEILINGS or name.startswith(_HARMLESS_PREFIX)


def admitted(names: Iterable[str]) -> list[str]:
    """Those of ``names`` that a client may send, the protocol's own included: what the gateway reports as writable."""
    return sorted(name for name in names if is_allowed(name) or name in TRANSPORT)


def client_settings(given: Mapping[str, str], limits: Limits) -> dict[str, str]:
    """The settings of a request that go to the engine, those over a limit cut down to it.

    Raises:
        GatewayError: READONLY, a setting that a client may not change.
    """
    settings = {}
    for name, value in given.items():
        if name in TRANSPORT or (name == "readonly" and value in {"1", "2"}):
            continue
        _admit(name)
        settings[name] = _cut(name, value, limits) if name in _CEILINGS else value
    return settings


def clause_settings(given: Mapping[str, str], limits: Limits) -> dict[str, str]:
    """The same for a ``SETTINGS`` clause, which reaches the engine as written and so cannot be cut down.

    Raises:
        GatewayError: READONLY or SETTING_CONSTRAINT_VIOLATION.
    """
    for name, value in given.items():
        _admit(name)
        if name in _CEILINGS and _number(name, value) != float(_cut(name, value, limits)):
            raise GatewayError(
                SETTING_CONSTRAINT_VIOLATION,
                f"Setting {name} shouldn't be greater than {_CEILINGS[name](limits)}.",
            )
    return dict(given)


def base_settings(limits: Limits, *, buffered: bool) -> dict[str, str]:
    """What every read-only session starts with; ``buffered`` when the result is made whole in memory."""
    return {
        "enable_http_compression": "1",
        "max_execution_time": f"{limits.max_execution_s:g}",
        # Without this the engine guesses the time from the speed of the first ten seconds.
        "timeout_before_checking_execution_speed": "0",
        "max_memory_usage": str(limits.max_memory_bytes),
        "max_result_rows": str(limits.max_result_rows),
        "max_result_bytes": str(
            min(limits.max_result_bytes, limits.max_buffered_bytes)
            if buffered
            else limits.max_result_bytes
        ),
        "result_overflow_mode": "throw",
        "allow_introspection_functions": "0",
    }


_CEILINGS: dict[str, Callable[[Limits], float]] = {
    "max_block_size": lambda limits: _MAX_BLOCK_ROWS,
    "max_execution_time": lambda limits: limits.max_execution_s,
    "max_memory_usage": lambda limits: limits.max_memory_bytes,
    "max_result_bytes": lambda limits: limits.max_result_bytes,
    "max_result_rows": lambda limits: limits.max_result_rows,
    "max_rows_to_read": lambda limits: float("inf"),
    "max_bytes_to_read": lambda limits: float("inf"),
    "max_threads": lambda limits: 64,
}


def _admit(name: str) -> None:
    if _NAME.match(name) is None:
        raise GatewayError(BAD_ARGUMENTS, f"{name!r} is not the name of a setting.")
    if not is_allowed(name):
        raise GatewayError(
            READONLY,
            f"Cannot modify '{name}' setting in readonly mode. The gateway lets clients change how results look "
            "and lets them lower limits.",
        )


def _cut(name: str, value: str, limits: Limits) -> str:
    ceiling = _CEILINGS[name](limits)
    number = _number(name, value)
    # Zero means unlimited, which is more than any limit.
    if number == 0 or number > ceiling:
        return "0" if ceiling == float("inf") else f"{ceiling:.15g}"
    return value


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise GatewayError(BAD_ARGUMENTS, f"Cannot parse {value!r} as the value of setting {name}.")
    return number
