"""The shape of the tree: sizes, where SQL lives, what may never be called, what packages carry."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = [
    ROOT / "schemas/tachograph_schemas",
    ROOT / "sdk/tachograph",
    ROOT / "collector/tachograph_collector",
    ROOT / "dashboard/tachograph_dashboard",
]
SOURCES = sorted(path for part in PARTS for path in part.rglob("*.py"))
STORE = ROOT / "schemas/tachograph_schemas/store.py"
MOST_LINES = 400
MOST_FUNCTION_LINES = 50


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@dataclass(frozen=True)
class Source:
    """A file of the product, read and parsed once for all the rules."""

    path: Path
    text: str
    nodes: tuple[ast.AST, ...]
    """All nodes of its tree."""


def source(path: Path, text: str) -> Source:
    return Source(path, text, tuple(ast.walk(ast.parse(text))))


def against(source: Source, rule: Callable[[Source], Iterator[str]]) -> list[str]:
    return [f"{name_of(source.path)}: {said}" for said in rule(source)]


def too_long(source: Source) -> Iterator[str]:
    lines = source.text.count("\n")
    if lines > MOST_LINES:
        yield f"{lines} lines: split it where two concerns meet"
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MOST_FUNCTION_LINES:
                yield f"{node.name} has {lines} lines"


BANNED = {"eval", "exec", "compile", "__import__"}
BANNED_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}


def reviving(source: Source) -> Iterator[str]:
    for node in source.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in BANNED:
                yield f"{node.func.id} at line {node.lineno}"
        elif isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
            yield from (f"imports {name}" for name in sorted(names & BANNED_MODULES))
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").split(".")[0] in BANNED_MODULES:
                yield f"imports from {node.module}"
        elif isinstance(node, ast.keyword):
            if node.arg in {"unsafe_allow_html", "unsafe_allow_javascript"}:
                yield f"{node.arg} at line {node.lineno}"
            if node.arg == "shell" and getattr(node.value, "value", None) is True:
                yield f"a shell at line {node.lineno}"


STATEMENT = re.compile(
    r"\b(SELECT\s+.+\s+FROM|INSERT\s+INTO|CREATE\s+(TABLE|VIEW)|ALTER\s+TABLE|DROP\s+TABLE)\b",
    re.DOTALL,
)


def sql(source: Source) -> Iterator[str]:
    if "tachograph_schemas" in source.path.parts:
        return
    docstrings = {
        id(node.body[0].value)
        for node in source.nodes
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in source.nodes:
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings
            and STATEMENT.search(node.value)
        ):
            yield f"SQL at line {node.lineno}: {node.value[:60]!r}"


def opening_the_engine(source: Source) -> Iterator[str]:
    if source.path == STORE:
        return
    if "get_client(" in source.text:
        yield "get_client"
    if re.search(r"^\s*(import|from) chdb", source.text, re.MULTILINE):
        yield "imports chdb"


def running_in_a_fork(source: Source) -> Iterator[str]:
    """Between a fork and the program that follows, where locks of other threads are held for ever."""
    for node in source.nodes:
        if isinstance(node, ast.keyword) and node.arg == "preexec_fn":
            yield f"preexec_fn at line {node.lineno}"


RULES = (too_long, reviving, sql, opening_the_engine, running_in_a_fork)


@pytest.fixture(scope="module")
def complaints() -> dict[Callable[[Source], Iterator[str]], list[str]]:
    """What the rules have against the files: a test for each file and rule takes longer than its rule."""
    found = {rule: [] for rule in RULES}
    for path in SOURCES:
        read = source(path, path.read_text(encoding="utf-8"))
        for rule in RULES:
            found[rule] += against(read, rule)
    return found


def test_the_parts_are_where_they_are_looked_for():
    assert STORE in SOURCES
    assert all(any(part in path.parents for path in SOURCES) for part in PARTS)


def test_files_and_functions_stay_readable(complaints):
    assert complaints[too_long] == []


def test_nothing_revives_code_or_types_from_data(complaints):
    assert complaints[reviving] == []


def test_sql_lives_in_schemas_only(complaints):
    assert complaints[sql] == []


def test_the_engine_is_opened_in_one_place(complaints):
    assert complaints[opening_the_engine] == []


def test_no_code_runs_between_a_fork_and_a_program(complaints):
    assert complaints[running_in_a_fork] == []


BREAKING = (
    """
import pickle
from marshal import loads
eval("1")
run(command, shell=True, preexec_fn=print)
show(text, unsafe_allow_html=True)
get_client("SELECT a FROM b")
import chdb
def long():
"""
    + "    pass\n" * MOST_LINES
)


@pytest.mark.parametrize(
    ("rule", "times"),
    [(too_long, 2), (reviving, 5), (sql, 1), (opening_the_engine, 2), (running_in_a_fork, 1)],
)
def test_a_file_that_breaks_a_rule_is_named(rule, times):
    path = ROOT / "sdk/tachograph/broken.py"
    found = against(source(path, BREAKING), rule)
    assert len(found) == times
    assert all(said.startswith("sdk/tachograph/broken.py: ") for said in found)


def test_the_base_install_loads_neither_the_engine_nor_a_client():
    """`import tachograph` must stay light: its users' agents pay for every import."""
    code = (
        "import sys, tachograph; heavy = {'chdb', 'clickhouse_connect', 'streamlit', 'fastapi', 'pandas', 'numpy',"
        " 'anthropic', 'sqlalchemy', 'pydantic', 'grpc', 'plotly', 'genai_prices'};"
        " print(sorted(heavy & {name.split('.')[0] for name in sys.modules}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_no_machine_path_or_registry_host_is_committed():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    forbidden = re.compile(
        r"/root/|/home/(?!tacho/|me/)[a-z]+/|/tmp/brief|https?://[a-z0-9.-]*pypi[a-z0-9.-]*/simple"
    )
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if (
            path.suffix in {".woff2", ".png", ".ico"}
            or not path.is_file()
            or path == Path(__file__)
        ):
            continue
        match = forbidden.search(path.read_text(encoding="utf-8", errors="replace"))
        assert match is None, f"{name}: {match.group(0)}"


def test_the_files_that_come_first_are_there():
    """A renamed one would come late, and the whole run wait for it."""
    from longest_first import LONGEST, TESTS

    assert [name for name in LONGEST if not (TESTS / name).is_file()] == []
    assert len(set(LONGEST)) == len(LONGEST)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_pages_end_by_the_way_of_their_own(path):
    """After ``st.stop()`` Streamlit keeps the fragments of the run before, and one of them can blank the page."""
    assert "tachograph_dashboard" not in path.parts or not re.search(
        r"^\s*st\.stop\(", path.read_text(encoding="utf-8"), re.MULTILINE
    )
