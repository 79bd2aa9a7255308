"""`tacho doctor` and `tacho dsn`."""

import json

import pytest

from tachograph.cli import checks_local
from tachograph_schemas.instance import Instance, write_instance


def states(result):
    return {(check["name"], check["state"]) for check in result.json["checks"]}


def test_doctor_finds_a_running_installation_well(recorded):
    result = recorded("doctor", "--json")
    assert result.code == 0
    assert result.json["state"] in {"ok", "warn"}
    for name in (
        "Python",
        "TACHO_HOME",
        "Disk",
        "Collector",
        "Storage",
        "Tables",
        "Last span",
        "Dashboard",
    ):
        assert (name, "ok") in states(result), result.json["checks"]


def test_doctor_without_a_collector_fails_and_says_what_to_do(tacho, environment):
    # Something may well listen at the ordinary address.
    environment.setenv("TACHO_ENDPOINT", "http://127.0.0.1:9")
    result = tacho("doctor", "--json")
    assert result.code == 1
    assert {("Collector", "fail"), ("Storage", "fail")} <= states(result)
    failed = [check for check in result.json["checks"] if check["state"] == "fail"]
    assert all(check["todo"] for check in failed)


@pytest.mark.parametrize("switch", ["OTEL_SDK_DISABLED", "TACHO_DISABLED"])
def test_doctor_names_what_switches_recording_off(environment, switch):
    def warned():
        checks, _ = checks_local.settings_in_force()
        return [check.todo for check in checks if check.state == "warn"]

    assert warned() == []
    environment.setenv(switch, "true")
    assert warned() == [f"Unset {switch} to record."]


def test_doctor_reads_well_for_people(recorded):
    result = recorded("doctor", "--width", "80")
    assert "✓ Collector" in result.out
    assert result.out.splitlines()[-1].startswith("All is well")
    assert max(map(len, result.out.splitlines())) <= 80


def test_doctor_names_settings_where_they_come_from_and_never_a_secret(
    tacho, environment, tmp_path
):
    environment.setenv("TACHO_API_KEY", "very-secret")
    environment.setenv("TACHO_CLICKHOUSE", "http://ann:hidden@127.0.0.1:9/db")
    (tmp_path / "tacho.toml").write_text("http_port = 4555\n")
    result = tacho("doctor", "--json")
    rows = {row["name"]: row for row in result.json["settings"]}
    assert (rows["TACHO_HTTP_PORT"]["value"], rows["TACHO_HTTP_PORT"]["source"]) == (
        4555,
        "tacho.toml",
    )
    assert (rows["TACHO_API_KEY"]["value"], rows["TACHO_API_KEY"]["source"]) == (
        "(set)",
        "environment",
    )
    assert rows["TACHO_HOST"]["source"] == "default"
    assert "TACHO_RETENTION_DAYS" in rows
    assert "TACHO_CAPTURE_LIMIT_BYTES" in rows
    for out in (result.out, tacho("doctor", "--settings").out):
        assert "hidden" not in out
        assert "very-secret" not in out


def test_doctor_warns_of_a_misspelt_variable(tacho, environment):
    environment.setenv("TACHO_HOMEE", "/x")
    assert ("Settings", "warn") in states(tacho("doctor", "--json"))
    assert "Did you mean TACHO_HOME?" in tacho("doctor").out


@pytest.mark.parametrize(
    ("name", "value"), [("TACHO_HTTP_PORT", "eighty"), ("TACHO_DISABLED", "perhaps")]
)
def test_doctor_survives_settings_that_cannot_be_used(tacho, environment, name, value):
    environment.setenv(name, value)
    result = tacho("doctor", "--json")
    assert result.code == 1
    assert any(name in check["said"] for check in result.json["checks"] if check["state"] == "fail")


def test_doctor_survives_a_broken_settings_file(tacho, tmp_path):
    (tmp_path / "tacho.toml").write_text("http_port = = 1")
    result = tacho("doctor", "--json")
    assert result.code == 1
    assert ("Settings", "fail") in states(result)


def test_doctor_complains_about_a_home_that_others_can_use(tacho, home):
    home.mkdir()
    home.chmod(0o777)
    token = home / "gateway.token"
    token.write_text("x")
    token.chmod(0o644)
    result = tacho("doctor", "--json")
    said = [check["said"] for check in result.json["checks"] if check["name"] == "TACHO_HOME"]
    assert any("can be written by other users (0777)" in text for text in said)
    assert any("can be read by other users, and holds a token" in text for text in said)


def test_doctor_tells_that_another_program_is_on_the_port(tacho, environment, home, serve):
    environment.setenv("TACHO_ENDPOINT", serve(404))
    result = tacho("doctor", "--json")
    said = [check["said"] for check in result.json["checks"] if check["name"] == "Collector"]
    assert "answered 404 to /healthz" in said[0]


def test_doctor_tells_that_the_key_is_refused(tacho, environment, serve):
    environment.setenv("TACHO_ENDPOINT", serve(401))
    said = [
        check["said"]
        for check in tacho("doctor", "--json").json["checks"]
        if check["name"] == "Collector"
    ]
    assert "refuses the API key" in said[0]


def test_dsn_is_ready_for_a_client(recorded, collector):
    result = recorded("dsn")
    assert (result.code, result.out.strip()) == (0, collector.instance["gateway"])
    assert json.loads(recorded("dsn", "--json").out) == {"dsn": collector.instance["gateway"]}


def test_dsn_is_the_server_when_one_is_set(tacho, environment):
    environment.setenv("TACHO_CLICKHOUSE", "https://ann:pw@ch.example:8443/db")
    assert tacho("dsn").out == "https://ann:pw@ch.example:8443/db\n"


def test_dsn_of_a_collector_that_uses_a_server_says_what_to_set(tacho, home):
    import os

    home.mkdir()
    write_instance(home, Instance(os.getpid(), "http://127.0.0.1:4318", None, "", None, ""))
    result = tacho("dsn")
    assert result.code == 3
    assert "set TACHO_CLICKHOUSE to the same DSN here" in result.err
