"""The table that every command prints."""

import pytest

from tachograph.cli.table import Column, table
from tachograph.cli.terminal import Paint, cells

COLUMNS = (
    Column("ID", 8),
    Column("WHEN", 23, spared=2),
    Column("WHO", 12, spared=1),
    Column("COST", 8, right=True, spared=3),
    Column("SAYS"),
    Column("NOTE", 10, optional=True),
)
ROWS = [
    ["1a2b3c4d", "2026-11-21 20:00:00 UTC", "maria", "$0.5", "返金 " * 40, ""],
    ["ff", "2026-11-21 20:00:01 UTC", ("jo", "bad"), "$12", "red \x1b[31m text", ""],
]


@pytest.mark.parametrize("width", range(40, 201, 7))
def test_a_table_is_never_wider_than_the_terminal(width):
    lines = table(COLUMNS, ROWS, width, Paint(on=False))
    assert len(lines) == 3
    assert max(map(cells, lines)) <= width
    assert lines[0].startswith("ID")


def test_a_narrow_table_leaves_out_what_can_be_spared_first():
    headings = [
        table(COLUMNS, ROWS, width, Paint(on=False))[0].split() for width in (100, 70, 60, 40)
    ]
    assert headings == [
        ["ID", "WHEN", "WHO", "COST", "SAYS"],
        ["ID", "WHEN", "WHO", "SAYS"],
        ["ID", "WHO", "SAYS"],
        ["ID", "SAYS"],
    ]


def test_cells_are_painted_in_their_style_and_cannot_steer_the_terminal():
    text = "\n".join(table(COLUMNS, ROWS, 100, Paint(on=True)))
    assert "\x1b[31mjo" in text
    assert "red ␛[31m text" in text


def test_a_table_without_a_flexible_column_keeps_what_fits():
    fixed = (Column("A", 10), Column("B", 10, spared=1))
    assert table(fixed, [["a" * 10, "b" * 10]], 40, Paint(on=False))[0].split() == ["A", "B"]


MONEY = (Column("WHAT"), Column("COST", 15, right=True, is_money=True))


def test_amounts_stand_with_their_points_below_each_other():
    rows = [["a", "$0.000431"], ["b", "≥$1.78"], ["c", "-"], ["names $5", "$1,204.00"]]
    lines = table(MONEY, rows, 60, Paint(on=False))
    assert len({line.rindex(".") for line in lines[1:] if "." in line}) == 1


def test_amounts_that_are_too_wide_apart_are_whole_all_the_same():
    rows = [["a", "$0.000000001234"], ["b", "$1,204,500.00"]]
    text = "\n".join(table(MONEY, rows, 60, Paint(on=False)))
    assert "$0.000000001234" in text
    assert "$1,204,500.00" in text
