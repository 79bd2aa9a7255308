"""One precedence everywhere, and misspelt settings are noticed."""

from __future__ import annotations

import pytest

from tachograph_schemas.settings import (
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
