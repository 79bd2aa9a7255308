"""One precedence everywhere, and misspelt settings are noticed."""

from __future__ import annotations

import pytest

from tachograph_schemas.settings import (
    BOUNDS,
    SHARED,
    Setting,
    SettingsError,
    flag,
    read_file,
    refuse_unknown,
    resolve,
    size_bytes,
    unknown_names,
)


def test_argument_beats_environment_beats_file_beats_default():
    table = [Setting("TACHO_HTTP_PORT", 4318, "", int)]
    environ, file = {"TACHO_HTTP_PORT": "2"}, {"http_port": 3}
    assert resolve(table, {"http_port": 1}, environ=environ, file=file) == {"http_port": 1}
    assert resolve(table, {"http_port": None}, environ=environ, file=file) == {"http_port": 2}
    assert resolve(table, environ={"TACHO_HTTP_PORT": ""}, file=file) == {"http_port": 3}
    assert resolve(table, environ={}, file={}) == {"http_port": 4318}


@pytest.mark.parametrize("text", ["x", "70000", "-1"])
def test_a_port_that_is_none_is_refused_by_name(text):
    with pytest.raises(SettingsError, match="TACHO_HTTP_PORT"):
        resolve(SHARED, environ={"TACHO_HTTP_PORT": text}, file={})


def test_zero_is_a_port_and_not_a_missing_value():
    assert resolve(SHARED, environ={"TACHO_HTTP_PORT": "0"}, file={})["http_port"] == 0
    assert resolve(SHARED, environ={}, file={"http_port": 0})["http_port"] == 0
    assert resolve(SHARED, {"http_port": 0}, environ={}, file={})["http_port"] == 0


@pytest.mark.parametrize(
    ("text", "bytes_"), [("10", 10), ("1KiB", 1024), ("2 MiB", 2 << 20), ("1.5GiB", 3 << 29)]
)
def test_sizes_are_read_with_their_unit(text, bytes_):
    assert size_bytes(text) == bytes_


def test_flags_are_read_strictly():
    assert flag("yes")
    assert not flag("0")
    with pytest.raises(ValueError, match="1 or 0"):
        flag("maybe")


def test_a_misspelt_key_in_the_file_is_refused_with_a_hint():
    with pytest.raises(SettingsError, match="did you mean http_port"):
        refuse_unknown(file={"htp_port": 1})


def test_a_misspelt_variable_is_said_with_a_hint():
    (sentence,) = unknown_names(environ={"TACHO_ENDPONT": "x", "HOME": "/"}, file={})
    assert "did you mean TACHO_ENDPOINT" in sentence


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "tacho.toml").write_text("http_port = ")
    with pytest.raises(SettingsError, match=r"tacho\.toml cannot be read"):
        read_file(tmp_path)
    assert read_file(tmp_path / "nowhere") == {}


@pytest.mark.parametrize(
    ("variable", "text", "allowed"),
    [
        ("TACHO_RETENTION_DAYS", "0", "1 to 36,500 days"),
        ("TACHO_RETENTION_DAYS", "-1", "1 to 36,500 days"),
        ("TACHO_RETENTION_DAYS", "nan", ""),
        ("TACHO_LOG_MAX_BYTES", "-1", "bytes"),
        ("TACHO_MAX_BODY_BYTES", "0", "1,024 to"),
        ("TACHO_MAX_BODY_BYTES", "nanGiB", ""),
        ("TACHO_MAX_BODY_BYTES", "infGiB", ""),
        ("TACHO_MAX_DISK_BYTES", "-1", "0 to"),
        ("TACHO_GATEWAY_READERS", "0", "1 to 256 readers"),
        ("TACHO_GATEWAY_QUEUE_TIMEOUT_S", "nan", "0 to 3,600 seconds"),
        ("TACHO_GATEWAY_MAX_EXECUTION_S", "inf", "0.1 to 86,400 seconds"),
        ("TACHO_BATCH_LINGER_MS", "-5", "milliseconds"),
        ("TACHO_CLICKHOUSE", "foo", "chdb:///absolute/path or http"),
        ("TACHO_CLICKHOUSE", "chdb://", "needs a directory"),
        ("TACHO_CLICKHOUSE", "chdb:///", "needs a directory"),
        ("TACHO_CLICKHOUSE", "chdb://data", "needs a directory"),
        ("TACHO_CLICKHOUSE", "chdb:///:memory:", "needs a directory"),
        ("TACHO_CLICKHOUSE", "http://", "http"),
    ],
)
def test_a_value_out_of_bounds_is_refused_before_anything_starts(
    variable, text, allowed, monkeypatch
):
    from tachograph_collector.settings import load

    monkeypatch.setenv(variable, text)
    with pytest.raises(SettingsError) as refused:
        load()
    assert str(refused.value).startswith(f"{variable}=")
    assert allowed in str(refused.value)


def test_arguments_have_the_same_bounds():
    from tachograph_collector.settings import load

    with pytest.raises(SettingsError, match="TACHO_RETENTION_DAYS=0"):
        load({"retention_days": 0})


def test_a_refused_address_is_shown_without_its_password():
    with pytest.raises(SettingsError) as refused:
        resolve(SHARED, environ={"TACHO_CLICKHOUSE": "ftp://ann:hidden@host/db"}, file={})
    assert "hidden" not in str(refused.value)


def test_every_number_that_can_be_set_has_bounds():
    import tachograph._config
    import tachograph_collector.gateway.limits
    import tachograph_collector.settings

    tables = (
        tachograph._config.TABLE,
        tachograph_collector.settings.TABLE,
        tachograph_collector.gateway.limits.TABLE,
    )
    numbers = {
        row.env
        for table in tables
        for row in table
        if isinstance(row.default, int | float)
        and not isinstance(row.default, bool)
        and not row.env.endswith("_PORT")
    }
    assert numbers - set(BOUNDS) == set()
    for table in tables:
        for row in table:
            if row.env in BOUNDS:
                assert BOUNDS[row.env].refusal(row.default) == "", row.env
