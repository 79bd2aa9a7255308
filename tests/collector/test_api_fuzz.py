"""The control API under requests made from its own description, with a fixed seed."""

from __future__ import annotations

import httpx
import pytest
from collector_process import Collector

import api_fuzz


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    home = tmp_path_factory.mktemp("fuzz") / "home"
    running = Collector(home, TACHO_API_KEY=api_fuzz.OWNER).start()
    try:
        yield api_fuzz.two_projects(running)
    finally:
        running.stop()


@pytest.mark.parametrize("who", ["theirs", "owner"])
def test_no_request_breaks_the_api_or_reads_another_project(projects, who):
    key = projects.theirs if who == "theirs" else api_fuzz.OWNER
    seen = api_fuzz.fuzz(projects, key, examples=6, number=20_261_121)
    assert seen[200] > 10
    assert seen[422] > 10, "what makes no sense is refused"


def test_what_another_project_has_and_what_nobody_has_look_alike(projects):
    assert api_fuzz.twins(projects) == []


def test_what_one_project_does_changes_nothing_that_another_sees(projects):
    before = api_fuzz.sights(projects)
    api_fuzz.fill(projects.url, projects.ours)
    assert api_fuzz.sights(projects) == before
    assert not any(api_fuzz.MARK in text for text in before.values())


def test_without_a_key_nothing_but_health_and_links_answers(projects):
    open_paths = {"/healthz", "/readyz", "/metrics", "/api/v1/health", "/decide", "/decide/look"}
    with httpx.Client(base_url=projects.url, timeout=180) as client:
        for operation in api_fuzz.operations(projects.url):
            path = operation.path
            for place, word in projects.ids.items():
                path = path.replace(f"{{{place}}}", word)
            answer = client.request(operation.method.upper(), path, json={"x": 1})
            is_open = answer.status_code != 401
            assert is_open == (operation.path in open_paths), (operation.path, answer.status_code)
