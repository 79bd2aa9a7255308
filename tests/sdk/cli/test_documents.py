"""Files for the command line that somebody else wrote: read, or refused with a sentence."""

from __future__ import annotations

import pytest

from tachograph.cli.documents import read_document
from tachograph.cli.problem import Problem

LEVELS = "\n".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 9))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("aliases.yaml", f"x0: &x0 [lol, lol]\n{LEVELS}\nrules: *x8\n"),
        ("itself.yaml", "rules: &rules [*rules]\n"),
        ("deep.yaml", "rules: " + "[" * 20_000),
        ("deep.toml", "rules = " + "[" * 20_000),
        ("deep.json", "[" * 200_000),
        ("number.json", "9" * 5_000),
        ("objects.yaml", "rules: !!python/object/apply:os.system [exit]\n"),
        ("bytes.yaml", "\0"),
    ],
)
def test_a_file_that_is_a_trap_is_refused_with_a_sentence(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(Problem, match="cannot be read"):
        read_document(path)


def test_aliases_that_save_typing_are_fine(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("rules:\n  - &first {name: a, warning: 1}\n  - {<<: *first, name: b}\n")
    assert read_document(path)["rules"][1] == {"name": "b", "warning": 1}


def test_a_mistake_is_told_with_its_line_on_one_line(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("rules:\n  - name: [\n")
    with pytest.raises(Problem, match=r"line 3: .*") as refused:
        read_document(path)
    assert "\n" not in str(refused.value)
