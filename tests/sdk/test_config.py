"""Settings: argument, environment, tacho.toml, default; OpenTelemetry's variables where ours are unset."""

from __future__ import annotations

import pytest

from tachograph import _config
from tachograph._config import read


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_defaults():
    """What the documentation says."""
    config = read({}, {})
    assert config.traces_url == "http://127.0.0.1:4318/v1/traces"
    assert (config.capture_limit_bytes, config.heartbeat_s, config.disabled) == (65_536, 5.0, False)
    assert (config.compression, config.propagate_threads, config.queue_spans) == (
        "auto",
        True,
        10_000,
    )


def test_argument_beats_environment_beats_file(tmp_path):
    """One precedence everywhere."""
    (tmp_path / "tacho.toml").write_text('service = "file"\nheartbeat_s = 9\napi_key = "f"\n')
    environ = {"TACHO_SERVICE": "environment", "TACHO_HEARTBEAT_S": "7"}
    config = read({"service": "argument", "api_key": None}, environ)
    assert (config.service, config.heartbeat_s, config.api_key) == ("argument", 7.0, "f")


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://o:4318"}, "http://o:4318/v1/traces"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://o", "TACHO_ENDPOINT": "http://t"},
            "http://t/v1/traces",
        ),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://o/v1/traces"}, "http://o/v1/traces"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://o:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "http://127.0.0.1:4318/v1/traces",
        ),
    ],
)
def test_opentelemetry_endpoint_is_honoured_when_ours_is_unset(environ, url):
    """A program that exports over OTLP already needs no second address."""
    assert read({}, environ).traces_url == url


def test_opentelemetry_headers_go_with_its_endpoint_only():
    """A key for somebody else's backend must not be sent to ours."""
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b,y=2"}
    assert read({}, headers).headers == ()
    found = read({}, {**headers, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://o"}).headers
    assert found == (("x-key", "a b"), ("y", "2"))


def test_unusable_value_is_logged_and_its_default_taken(caplog, tmp_path):
    """A typing error must not switch the recorder off, nor break the agent."""
    (tmp_path / "tacho.toml").write_text("not toml")
    config = read({}, {"TACHO_HEARTBEAT_S": "often", "TACHO_COMPRESSION": "zip"})
    assert (config.heartbeat_s, config.compression) == (5.0, "auto")
    assert len(caplog.records) == 3


@pytest.mark.parametrize("environ", [{"TACHO_DISABLED": "1"}, {"OTEL_SDK_DISABLED": "true"}])
def test_either_switch_disables(environ):
    """Whoever switched OpenTelemetry off wants no spans from us either."""
    assert read({}, environ).disabled


def test_who_is_switched_off_by_opentelemetry_is_told_so_once(run_script):
    """Nobody who looks for missing runs thinks of a variable of another library."""
    source = "import tachograph as tacho\ntacho.init(); tacho.init()\nprint(tacho.tool(lambda: 'done')())\n"
    done = run_script(source, OTEL_SDK_DISABLED="true")
    assert done.stdout == "done\n"
    assert done.stderr.count("OTEL_SDK_DISABLED") == 1


def test_every_setting_says_what_it_is():
    """`tacho doctor` prints this table."""
    assert all(setting.help for setting in _config.TABLE)
    assert {setting.key for setting in _config.TABLE} <= set(_config.Config.__slots__)


@pytest.mark.parametrize(
    ("endpoint", "problem"),
    [
        ("localhost:4318", "it does not start with http:// or https:// and a host"),
        ("http://localhost:43l8", "Port could not be cast to integer value as '43l8'"),
    ],
)
def test_endpoint_that_is_none_is_named_with_what_to_set(run_script, endpoint, problem):
    """The agent runs all the same, and nothing is recorded."""
    source = "import tachograph as tacho\ntacho.init()\nprint(tacho.tool(lambda: 'done')())\n"
    done = run_script(source, TACHO_ENDPOINT=endpoint)
    assert done.stdout == "done\n"
    assert done.stderr == (
        f"tachograph: the endpoint '{endpoint}' cannot be used: {problem}. Set TACHO_ENDPOINT to the URL of a "
        "collector, such as http://127.0.0.1:4318. Nothing is recorded.\n"
    )
