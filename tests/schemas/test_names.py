"""Names are declared once: SQL may use no ``tacho.*`` attribute that names.py does not know."""

from __future__ import annotations

import re
from pathlib import Path

from tachograph_schemas import names
from tachograph_schemas.statements import statement

SCHEMAS = Path(names.__file__).parent
VALUES = {value for value in vars(names).values() if isinstance(value, str)}


def test_every_tacho_attribute_in_sql_is_declared():
    used = set()
    for path in SCHEMAS.rglob("*.sql"):
        used |= set(re.findall(r"'(tacho\.[a-z_.]*[a-z_])'", path.read_text(encoding="utf-8")))
    assert used
    assert used <= VALUES, used - VALUES


def test_every_attribute_value_is_declared_once():
    declared = [
        value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)
    ]
    assert len(declared) == len(set(declared))


def test_the_layers_in_sql_are_the_closed_set():
    text = statement("insert_spans")
    listed = re.findall(r"IN \(\s*('run',[^)]*)\)", text)[0]
    found = set(re.findall(r"'([a-z]+)'", listed))
    assert found | {"other"} == set(names.LAYERS)


def test_the_tables_named_are_the_tables_made():
    made = set()
    for path in sorted((SCHEMAS / "migrations").glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        made |= set(re.findall(r"CREATE TABLE IF NOT EXISTS \$\{local:([a-z_]+)\}", text))
        made |= set(re.findall(r"CREATE OR REPLACE VIEW ([a-z_]+)", text))
        made -= set(re.findall(r"DROP TABLE IF EXISTS \$\{local:([a-z_]+)\}", text))
    declared = {value for name, value in vars(names).items() if name.startswith("TABLE_")}
    assert made | {names.TABLE_MIGRATIONS} == declared
