"""The parts under the pages: cache, links, columns, settings, guards, the program itself."""

import gzip
import json
import signal
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest
from dashboard_process import END_S

from tachograph_dashboard import links
from tachograph_dashboard.cache import TimedCache
from tachograph_dashboard.columns import COLUMNS, parents, tree_columns
from tachograph_dashboard.headers import Guard, _is_welcome, content_security_policy
from tachograph_dashboard.icons import LAYER_PATHS, LAYER_WORDS, OUTCOME_PATHS, OUTCOME_WORDS
from tachograph_dashboard.links import LinkRefusedError, Target
from tachograph_dashboard.settings import read
from tachograph_dashboard.views import meanwhile
from tachograph_schemas.names import LAYERS, OUTCOMES
from tachograph_schemas.settings import SettingsError


def test_the_cache_asks_again_when_its_time_is_over():
    """Within its time an answer is kept, after it asked for anew."""
    now = [0.0]
    cache, answers = TimedCache(2, 2, lambda: now[0]), iter(range(9))
    assert [cache.get("k", lambda: next(answers)) for _ in range(2)] == [0, 0]
    now[0] = 2.0
    assert cache.get("k", lambda: next(answers)) == 1


def test_the_cache_forgets_the_least_used_answer():
    """It never holds more than it was told to."""
    cache, asked = TimedCache(60, 2), []
    for key in "abcab":
        cache.get(key, lambda key=key: asked.append(key))
    assert asked == ["a", "b", "c", "a", "b"]


def test_threads_that_miss_together_ask_once():
    """Ten open tabs cost one query."""
    cache, asked, together = TimedCache(60, 2), [], threading.Barrier(8)

    def visit():
        together.wait()
        cache.get("k", lambda: asked.append(1) or 7)

    threads = [threading.Thread(target=visit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1


def test_a_failed_answer_is_not_kept():
    """An error is the caller's; the next one tries again."""
    cache = TimedCache(60, 2)
    with pytest.raises(OSError):
        cache.get("k", lambda: (_ for _ in ()).throw(OSError()))
    assert cache.get("k", lambda: 5) == 5


TARGET = Target("tree", "default", "r1", 3)


def test_a_link_is_the_same_within_the_hour_and_expires():
    """The browser's cache can answer a reload; an old link is refused."""
    path = links.link(TARGET, now_s=36_100)
    token = path.rsplit("/", 1)[1]
    assert links.link(TARGET, now_s=39_000) == path
    assert links.read(token, "tree", now_s=39_700) == TARGET
    with pytest.raises(LinkRefusedError):
        links.read(token, "tree", now_s=43_300)


def test_a_link_is_good_for_its_purpose_alone():
    """A link to a tree downloads nothing, and a forged one is nothing at all."""
    token = links.link(TARGET).rsplit("/", 1)[1]
    for wrong, purpose in ((token, "export"), (token[:-2] + "aa", "tree"), ("", "tree")):
        with pytest.raises(LinkRefusedError):
            links.read(wrong, purpose)


def rows(**columns):
    """Two spans under a root, as ``queries.tree`` gives them."""
    ids = [f"{number:016x}" for number in (1, 2, 3)]
    return {
        "span_id": ids,
        "parent_span_id": ["", ids[0], ids[0]],
        "name": ["run", "execute_tool get", "gate\u202e"],
        "layer": ["run", "tool", "gate"],
        "status": ["unset", "error", "ok"],
        "verdict": ["", "", "deny"],
        "start_ns": [10**18, 10**18 + 1_500_000, 10**18 + 10**16],
        "duration_ns": [2 * 10**16, 500, 1],
        "is_open": [True, False, False],
        "tool": ["", "get", ""],
        "tokens": [0, 0, 0],
        "cost_usd": [None, None, 0.5],
    } | columns


def unpacked(tree):
    """The header and the columns, read the way the browser reads them."""
    data = gzip.decompress(tree.packed)
    length = struct.unpack_from("<I", data)[0]
    head, at = json.loads(data[4 : 4 + length]), 4 + length
    assert at % 8 == 0
    found = {}
    for name, kind in COLUMNS:
        found[name] = np.frombuffer(data, kind, head["n"], at)
        at += found[name].nbytes
    assert at == len(data)
    return head, found


def test_a_failure_that_is_retried_is_marked_where_it_happened():
    layers = {"layer": ["run", "tool", "retry"], "status": ["ok", "error", "error"]}
    _, columns = unpacked(tree_columns(rows(**layers, verdict=["", "", ""])))
    assert columns["flags"].tolist() == [1, 2, 4]


def test_columns_survive_the_way_to_the_browser():
    """Times, parents, names, marks; half a year apart and to the nanosecond."""
    head, columns = unpacked(tree_columns(rows()))
    assert head["names"] == ["run", "get", "gate⟨U+202E⟩"]
    assert columns["start"].tolist() == [0.0, 1.5, 1e10]
    assert columns["duration"].tolist() == [2e10, 0.0005, 1e-6]
    assert columns["parent"].tolist() == [-1, 0, 0]
    assert columns["flags"].tolist() == [1, 2, 8]
    assert [bytes(span_id).hex() for span_id in columns["id"]] == rows()["span_id"]
    assert np.isnan(columns["cost"][0])


def test_odd_ids_and_no_spans_are_carried_too():
    """An id that is not sixteen hex digits travels as text."""
    head, _ = unpacked(tree_columns(rows(span_id=["", "x", "y" * 40])))
    assert head["odd"] == {"0": "", "1": "x", "2": "y" * 40}
    assert tree_columns({name: [] for name in rows()}).count == 0


def test_a_ring_of_parents_is_cut_so_that_every_span_is_shown():
    """Recorded nonsense must not hide spans."""
    assert parents(["a", "b", "c", "d"], ["b", "a", "c", "a"]).count(-1) == 2
    deep = [str(number) for number in range(50_000)]
    assert parents(deep, ["", *deep[:-1]])[-1] == 49_998


def test_every_layer_and_outcome_has_a_shape_and_a_word():
    """No two layers look alike."""
    assert set(LAYER_PATHS) == set(LAYER_WORDS) == set(LAYERS)
    assert len(set(LAYER_PATHS.values())) == len(LAYERS)
    assert set(OUTCOME_PATHS) == set(OUTCOME_WORDS) == set(OUTCOMES)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org"])
def test_it_refuses_to_be_reached_from_elsewhere(host):
    """There is no login yet, and the sentence says so."""
    with pytest.raises(SettingsError, match="no login yet"):
        read({"host": host, "clickhouse": "http://x"}, environ={})


def test_the_policy_allows_our_own_scripts_alone():
    """Neither evaluation nor inline scripts other than the page's own, nor other machines."""
    policy = content_security_policy()
    assert "unsafe-eval" not in policy
    assert "script-src 'self' blob: 'sha256-" in policy
    assert "connect-src 'self'" in policy


def scope(kind="http", method="GET", **headers):
    listed = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": kind, "method": method, "path": "/", "headers": listed}


def answered(asked):
    """What the guard does with a request: its own answer, or ``passed``."""
    seen = []

    async def inside(_scope, _receive, _send):
        seen.append("passed")

    async def send(message):
        seen.append(message.get("status", message["type"]))

    # Nothing here waits, so no event loop is needed (the browser's may be running in this thread).
    with pytest.raises(StopIteration):
        Guard(inside)(asked, None, send).send(None)
    return seen[0]


OURS = "127.0.0.1:8501"


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (scope(host=OURS), "passed"),
        (scope(host="localhost:1"), "passed"),
        (scope(host="[::1]:1"), "passed"),
        (scope(host="evil.example:8501"), 403),
        (scope(host="127.0.0.1.evil.example"), 403),
        (scope(), 403),
        (scope(host=OURS, sec_fetch_site="cross-site", sec_fetch_mode="no-cors"), 403),
        (scope(host=OURS, sec_fetch_site="cross-site", sec_fetch_mode="navigate"), "passed"),
        (scope(method="POST", host=OURS, origin="http://evil.example"), 403),
        (scope(method="PUT", host=OURS, origin=f"http://{OURS}"), "passed"),
        (scope("websocket", host=OURS, origin=f"http://{OURS}"), "passed"),
        (scope("websocket", host=OURS, origin="http://127.0.0.1:9999"), "websocket.close"),
        (scope("websocket", host=OURS, origin="http://evil.example"), "websocket.close"),
        (scope("websocket", host=OURS), "websocket.close"),
    ],
)
def test_only_its_own_pages_talk_to_it(asked, answer):
    """Another site, another name and another port are refused."""
    assert answered(asked) == answer


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_program_says_where_it_is_and_stops_cleanly(tmp_path, stop):
    """One JSON line when it answers; exit code 0 on either signal; a store is not needed to start."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tachograph_dashboard", "--port", "0", "--clickhouse", "http://127.0.0.1:9/x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
    )  # fmt: skip
    try:
        address = json.loads(process.stdout.readline())["dashboard"]
        process.send_signal(stop)
        assert process.wait(END_S) == 0
        assert address.startswith("http://127.0.0.1:")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


PARENT = """
import os, subprocess, sys
words = [sys.executable, "-m", "tachograph_dashboard", "--port", "0", "--clickhouse", "http://127.0.0.1:9/x"]
child = subprocess.Popen([*words, "--parent", sys.argv[1] if sys.argv[1:] else str(os.getpid())])
print(child.pid, flush=True)
sys.exit(child.wait())
"""


def test_it_ends_with_whoever_started_it_and_not_with_others(tmp_path):
    """A collector that is killed can stop nobody; one that is gone already is noticed."""

    def start(*words):
        return subprocess.Popen(
            [sys.executable, "-c", PARENT, *words], stdout=subprocess.PIPE, text=True, cwd=tmp_path
        )

    with start("1") as gone:
        gone.stdout.readline()
        assert gone.stdout.read() == "", "it did not begin to serve"
    assert gone.returncode == 0
    with start() as parent:
        parent.stdout.readline()
        assert "dashboard" in parent.stdout.readline()
        parent.kill()
        # The dashboard has the other end of the pipe as long as it lives.
        assert parent.stdout.read() == ""


def test_without_a_store_it_says_what_to_do(tmp_path, monkeypatch, capsys):
    """A sentence on standard error and the code for wrong use."""
    from tachograph_dashboard.serve import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TACHO_CLICKHOUSE", raising=False)
    monkeypatch.setenv("TACHO_HOME", str(tmp_path))
    assert main([]) == 2
    assert "tacho up" in capsys.readouterr().err


def test_beyond_this_machine_only_behind_a_named_proxy():
    """Without a login of its own the dashboard wants to be told who asks for one."""
    given = {"TACHO_HOST": "0.0.0.0", "TACHO_CLICKHOUSE": "http://u:p@127.0.0.1:1/db"}
    with pytest.raises(SettingsError, match="TACHO_DASHBOARD_PUBLIC_URL"):
        read(environ=given)
    with pytest.raises(SettingsError, match="is no address"):
        read(environ=given | {"TACHO_DASHBOARD_PUBLIC_URL": "tacho.example"})
    allowed = read(environ=given | {"TACHO_DASHBOARD_PUBLIC_URL": "https://tacho.example"})
    assert allowed.public_host == "tacho.example"


@pytest.mark.parametrize(
    ("host", "public_host", "welcome"),
    [
        (b"127.0.0.1:8501", "", True),
        (b"tacho.example", "tacho.example", True),
        (b"tacho.example", "", False),
        (b"evil.example", "tacho.example", False),
    ],
)
def test_only_known_hosts_are_answered(host, public_host, welcome):
    scope = {"type": "http", "method": "GET", "headers": [(b"host", host)]}
    assert _is_welcome(scope, public_host) is welcome


def test_what_somebody_else_has_changed_is_told_field_by_field():
    before = {"version": 1, "limit": 10.0, "target": "", "targets": []}
    now = {"version": 2, "limit": 15.0, "target": "acme\x1b[2J", "targets": ["a", "b"]}
    said = meanwhile.told("It was changed meanwhile.", before, now)
    assert said.splitlines()[1:4] == [
        "limit: 10.0 → 15.0",
        "target: none → acme␛[2J",
        "targets: none → a, b",
    ]
    assert said.endswith("Save again to put it in the place of that.")
    assert "version" not in said
    assert meanwhile.told("There already.", {}, {"limit": 1.0}).splitlines()[1] == "limit: 1.0"
    assert meanwhile.told("It was removed.", before, {}).endswith("to make it anew.")
