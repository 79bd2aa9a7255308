"""The deployment files: they cannot be run here, so they are held against the compose rules and our settings."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml
from compose_spec import PyCompose

import tachograph_collector.settings
import tachograph_dashboard.settings  # noqa: F401  # declares its settings
from tachograph_schemas import settings

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)


def test_compose_is_valid():
    parsed = PyCompose.from_yaml(TEXT)
    assert set(parsed.service_names()) == {"clickhouse", "postgres", "collector", "dashboard"}
    parsed.validate()


@pytest.mark.parametrize("service", sorted(COMPOSE["services"]))
def test_every_service_is_checked_and_comes_back(service):
    facts = COMPOSE["services"][service]
    assert facts["healthcheck"]["test"]
    assert facts["restart"] == "unless-stopped"


@pytest.mark.parametrize("service", ["collector", "dashboard"])
def test_every_variable_is_a_real_setting(service):
    variables = COMPOSE["services"][service]["environment"]
    ours = {name for name in variables if name.startswith("TACHO_")}
    assert ours
    assert ours <= set(settings.known())


def test_the_collector_starts_with_these_settings(monkeypatch, tmp_path):
    """The very values of the file, with the secrets filled in, are accepted."""
    monkeypatch.chdir(tmp_path)
    for name, value in COMPOSE["services"]["collector"]["environment"].items():
        filled = re.sub(r"\$\{TACHO_RETENTION_DAYS:-30\}", "30", str(value))
        monkeypatch.setenv(name, re.sub(r"\$\{[^}]+\}", "s3cret", filled))
    monkeypatch.setenv("TACHO_HOME", str(tmp_path))
    given = tachograph_collector.settings.load()
    assert given.host == "0.0.0.0"
    assert given.api_key == "s3cret"
    assert given.clickhouse.startswith("http://tachograph:s3cret@clickhouse:8123/")


def test_secrets_come_from_the_environment_and_are_required():
    wanted = set(re.findall(r"\$\{([A-Z_]+):\?", TEXT))
    example = (ROOT / "deploy/deploy.env.example").read_text(encoding="utf-8")
    assert wanted == {"CLICKHOUSE_PASSWORD", "POSTGRES_PASSWORD", "TACHO_API_KEY"}
    for name in wanted | set(re.findall(r"\$\{([A-Z_]+)", TEXT)):
        assert re.search(rf"^{name}=", example, re.MULTILINE), name


def test_nothing_is_published_beyond_this_machine():
    for facts in COMPOSE["services"].values():
        for port in facts.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_named_volumes_and_mounted_files_exist():
    for facts in COMPOSE["services"].values():
        for volume in facts.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), source
            else:
                assert source in COMPOSE["volumes"]


def test_the_servers_own_logs_are_bounded():
    root = ET.parse(ROOT / "deploy/clickhouse-system-logs.xml").getroot()
    logs = [element for element in root if element.tag.endswith("_log")]
    assert logs
    for log in logs:
        assert log.get("remove") == "1" or "DELETE" in (log.findtext("ttl") or "")


def test_the_image_copies_what_the_build_needs():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
