"""The shape of the tree: sizes, where SQL lives, what may never be called, what packages carry."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
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
MOST_LINES = 400
MOST_FUNCTION_LINES = 50


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_functions_stay_readable(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MOST_LINES, "split it where two concerns meet"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MOST_FUNCTION_LINES, f"{node.name} has {lines} lines"


BANNED = {"eval", "exec", "compile", "__import__"}
BANNED_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_revives_code_or_types_from_data(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in BANNED, f"{node.func.id} at line {node.lineno}"
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
            assert not names & BANNED_MODULES
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in BANNED_MODULES
        if isinstance(node, ast.keyword):
            assert node.arg not in {"unsafe_allow_html", "unsafe_allow_javascript"}
            assert not (node.arg == "shell" and getattr(node.value, "value", None) is True)


STATEMENT = re.compile(
    r"\b(SELECT\s+.+\s+FROM|INSERT\s+INTO|CREATE\s+(TABLE|VIEW)|ALTER\s+TABLE|DROP\s+TABLE)\b",
    re.DOTALL,
)


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if "tachograph_schemas" not in p.parts], ids=name_of
)
def test_sql_lives_in_schemas_only(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings
        ):
            assert not STATEMENT.search(node.value), (
                f"SQL at line {node.lineno}: {node.value[:60]!r}"
            )


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_the_engine_is_opened_in_one_place(path):
    text = path.read_text(encoding="utf-8")
    if path.name == "store.py" and "tachograph_schemas" in path.parts:
        return
    assert "get_client(" not in text
    assert not re.search(r"^\s*(import|from) chdb", text, re.MULTILINE)


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
