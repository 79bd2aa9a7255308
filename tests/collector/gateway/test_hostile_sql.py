"""Hostile SQL, sent by a holder of the token, against the real engine: nothing outside our tables is reached."""

from __future__ import annotations

import socketserver
import threading

import pytest

CANARY = "canary-7f1d0c"
# What a refusal looks like. Anything else, a syntax error included, would mean that the engine had a go.
REFUSED = {164, 446, 452, 48, 62}

STATEMENTS = [
    # writing
    "INSERT INTO t (a) VALUES (1)",
    "INSERT INTO t SELECT * FROM t",
    "INSERT INTO FUNCTION file('{out}', 'TSV', 'a UInt8') SELECT 1",
    "INSERT INTO FUNCTION url('{sink}', 'TSV', 'a UInt8') SELECT 1",
    "CREATE TABLE x (a UInt8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE x (a UInt8)",
    "CREATE TABLE x ENGINE = File(TSV, '{secret}')",
    "CREATE OR REPLACE VIEW v AS SELECT 1",
    "CREATE DATABASE x ENGINE = Filesystem('/etc')",
    "CREATE FUNCTION f AS x -> x",
    "CREATE USER u",
    "GRANT ALL ON *.* TO default",
    "DROP TABLE t",
    "DETACH TABLE t",
    "ATTACH TABLE t",
    "TRUNCATE TABLE t",
    "RENAME TABLE t TO u",
    "EXCHANGE TABLES t AND other.u",
    "ALTER TABLE t DELETE WHERE 1",
    "DELETE FROM t WHERE 1",
    "UPDATE t SET s = '' WHERE 1",
    "OPTIMIZE TABLE t FINAL",
    "UNDROP TABLE t",
    "BACKUP TABLE t TO File('{out}')",
    "RESTORE TABLE t FROM File('{out}')",
    "SELECT 1 INTO OUTFILE '{out}'",
    "SELECT 1 INTO OUTFILE '{out}' TRUNCATE FORMAT TSV",
    "select 1 into/**/outfile '{out}'",
    "EXPLAIN SELECT 1 INTO OUTFILE '{out}'",
    # control
    "SET readonly = 0",
    "SET max_execution_time = 0",
    "USE other",
    "SYSTEM FLUSH LOGS",
    "SYSTEM SHUTDOWN",
    "KILL QUERY WHERE 1",
    "KILL QUERY WHERE 1; garbage here",
    "BEGIN TRANSACTION",
    "SET ROLE NONE",
    "EXECUTE AS default SELECT 1",
    # several statements
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE t",
    "SELECT 1;;; SET readonly = 0",
    "SELECT 1; KILL QUERY WHERE 1; (",
    "/* x */; SELECT 1; DROP TABLE t",
    "SELECT 1\0; DROP TABLE t",
    # files
    "SELECT * FROM file('{secret}', 'LineAsString')",
    "SELECT file('{secret}')",
    "SELECT file ('{secret}')",
    "SELECT file/* x */('{secret}')",
    "SELECT file -- '\n('{secret}')",
    "SELECT file // '\n('{secret}')",
    "SELECT file # '\n('{secret}')",
    "SELECT `file`('{secret}')",
    "SELECT \"file\"('{secret}')",
    "SELECT `fi\\x6ce`('{secret}')",
    "SELECT file\u00a0('{secret}')",
    "SELECT \ufefffile('{secret}')",
    "SELECT /* /* */ ' */ file('{secret}') -- '",
    "SELECT $x$'$x$, file('{secret}') --'",
    "SELECT \u2018'\u2019, file('{secret}'), \u2018'\u2019",
    "SELECT 'a\\'', file('{secret}') --'",
    "SELECT 'a''', file('{secret}') --'",
    "SELECT * APPLY(file) FROM (SELECT '{secret}' AS p)",
    "SELECT * APPLY file FROM (SELECT '{secret}' AS p)",
    "SELECT * APPLY(x -> file(x)) FROM (SELECT '{secret}' AS p)",
    "SELECT COLUMNS('p') APPLY(file) FROM (SELECT '{secret}' AS p)",
    "SELECT * REPLACE (file(p) AS p) FROM (SELECT '{secret}' AS p)",
    "SELECT arrayMap(file, ['{secret}'])",
    "SELECT arrayMap(`file`, ['{secret}'])",
    "SELECT arrayMap(x -> file(x), ['{secret}'])",
    "WITH file('{secret}') AS f SELECT f",
    "SELECT 1 WHERE file('{secret}') != ''",
    "SELECT throwIf(1, file('{secret}'))",
    "SELECT a FROM t ORDER BY file('{secret}')",
    "SELECT * FROM numbers(3) LIMIT 1 BY file('{secret}')",
    "SELECT * FROM view(SELECT file('{secret}'))",
    "EXPLAIN SYNTAX SELECT file('{secret}')",
    "EXPLAIN SELECT * FROM file('{secret}', 'LineAsString')",
    "DESCRIBE file('{secret}')",
    "DESC TABLE file('{secret}')",
    "DESCRIBE (SELECT * FROM file('{secret}'))",
    "SELECT * FROM `{secret}`",
    "SELECT * FROM '{secret}'",
    "DESCRIBE `{secret}`",
    "SELECT * FROM sqlite('{secret}', 't')",
    "SELECT * FROM executable('cat {secret}', 'TSV', 'a String')",
    "SELECT * FROM Python(settings)",
    "SELECT * FROM python(pool)",
    "SELECT * FROM deltaLakeLocal('{secret}')",
    "SELECT * FROM icebergLocal('{secret}')",
    "SELECT * FROM filesystem('/etc')",
    "SELECT * FROM eval('SELECT file(''{secret}'')')",
    # network
    "SELECT * FROM url('{sink}', 'LineAsString')",
    "DESCRIBE url('{sink}')",
    "DESCRIBE TABLE urlCluster('x', '{sink}')",
    "DESCRIBE s3('{sink}')",
    "SELECT * FROM remote('127.0.0.1:{port}', system.one)",
    "DESCRIBE remote('127.0.0.1:{port}', 'system', 'one')",
    "DESCRIBE mysql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "SELECT * FROM postgresql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "SELECT * FROM mongodb('127.0.0.1:{port}', 'd', 'c', 'u', 'p', 'a Int8')",
    "SELECT * FROM redis('127.0.0.1:{port}', 'k', 'k String')",
    "SELECT * FROM jdbc('x', 'y', 'z')",
    "SELECT * FROM odbc('x', 'y', 'z')",
    "DESCRIBE hdfs('hdfs://127.0.0.1:{port}/x')",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT aiGenerate('name', 'prompt')",
    "SELECT hasColumnInTable('127.0.0.1:{port}', 'u', 'p', 'd', 't', 'c')",
    # settings
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS max_execution_time = 0",
    "SELECT 1 SETTINGS max_memory_usage = 99999999999999",
    "SELECT 1 SETTINGS allow_ddl = 1",
    "SELECT 1 SETTINGS final, readonly = 0",
    "SELECT 1 SETTINGS final = {{'a':'b', 'c':'d'}}, max_execution_time = 0",
    "SELECT 1 SETTINGS output_format_schema = '{out}', format_schema = '{out}'",
    "SELECT * FROM (SELECT 1 SETTINGS readonly = 0)",
    "SELECT * FROM (SELECT sleep(1) SETTINGS max_execution_time = 0)",
    "SELECT * FROM (SELECT 1 SETTINGS `max_execution_time` = 0)",
    "SELECT * FROM (SELECT 1 SETTINGS final, max_execution_time == 0)",
    "SELECT * FROM (SELECT 1 SETTINGS final = [1, 2], max_execution_time = 0)",
    "SELECT * FROM eval('x') SETTINGS allow_experimental_eval_table_function = 1",
    "SELECT 1 FORMAT Null SETTINGS readonly = 0",
]


@pytest.fixture(scope="module")
def sink():
    """A server that must never be called."""
    calls: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            calls.append(self.request.recv(1000))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], calls
        server.shutdown()


@pytest.mark.parametrize("statement", STATEMENTS)
def test_hostile_statement_is_refused_and_leaves_no_trace(ask, sink, tmp_path, statement):
    port, calls = sink
    secret = tmp_path / "secret.txt"
    secret.write_text(CANARY)
    out = tmp_path / "out"
    sql = statement.format(secret=secret, out=out, port=port, sink=f"http://127.0.0.1:{port}/x")

    response = ask(sql)

    # 60: unknown table, when a path is written as a name and the engine finds no such table.
    code = int(response.headers.get("X-ClickHouse-Exception-Code", 0))
    assert code in REFUSED or (code == 60 and "SELECT * FROM" in sql), response.data
    assert response.status >= 400
    assert CANARY.encode() not in response.data
    assert not out.exists()
    assert calls == []
    assert ask("SELECT count() FROM t").data == b"1000\n"


def test_nothing_was_written_by_all_of_them(ask):
    tables = ask("SELECT count() FROM system.tables WHERE database IN ('default', 'other')")
    assert tables.data == b"2\n"
    assert ask("SELECT count() FROM other.u").data == b"2\n"


@pytest.mark.parametrize("value", ["file", "`file`", "fi\\x6ce", "FILE", "x.file"])
def test_a_parameter_cannot_name_a_forbidden_function(ask, tmp_path, value):
    secret = tmp_path / "secret.txt"
    secret.write_text(CANARY)
    response = ask(f"SELECT arrayMap({{f:Identifier}}, ['{secret}'])", param_f=value)
    assert response.status >= 400
    assert CANARY.encode() not in response.data


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("readonly", "0"),
        ("allow_ddl", "1"),
        ("format_schema", "/etc/passwd"),
        ("format_schema_source", "string"),
        ("output_format_schema", "/tmp/x"),
        ("format_template_row", "/etc/passwd"),
        ("format_avro_schema_registry_url", "http://127.0.0.1:1/"),
        ("allow_experimental_eval_table_function", "1"),
        ("allow_introspection_functions", "1"),
        ("max_execution_time; DROP TABLE t", "1"),
        ("max_execution_time", "1' , readonly='0"),
        ("date_time_input_format", "x', readonly='0"),
        ("max_threads", "nan"),
        ("max_threads", "-1"),
        ("profile", "default"),
        ("dialect", "prql"),
    ],
)
def test_a_setting_that_could_widen_anything_is_refused(ask, name, value):
    assert ask("SELECT 1", **{name: value}).status >= 400
    assert ask("SELECT getSetting('readonly')").data == b"1\n"


HARMLESS = [
    "SELECT 'file(1)', 'it''s url(x)', 'a\\'file(' -- file(\n",
    "SELECT $$file('x')$$, $tag$ it's url( $tag$",
    "SELECT 1 /* file('x') */ AS \"a b\", 2 AS `c``d`",
    "SELECT format('{{}}-{{}}', 'a', 'b')",
    "SELECT m['file'], m['url'] FROM t LIMIT 1",
    "SELECT url FROM (SELECT 'x' AS url)",
    "SELECT domain('http://a.b/c'), path('http://a.b/c')",
    "SELECT 1 AS settings, 2 AS final",
    "SELECT settings = 1 FROM (SELECT 1 AS settings)",
    "WITH x AS (SELECT a FROM t) SELECT count() FROM x",
    "FROM t SELECT a LIMIT 1",
    "(SELECT 1) UNION ALL (SELECT 2)",
    "SELECT a FROM t WHERE s IN (SELECT concat('s', toString(number)) FROM numbers(3))",
    "SELECT 1 SETTINGS final = 1, max_threads = 1",
    "SELECT 1 SETTINGS final, join_use_nulls = 1 FORMAT JSON",
    "SELECT * FROM (SELECT a FROM t SETTINGS final = 0) LIMIT 1",
    "SELECT 1;",
    "SHOW TABLES",
    "SHOW CREATE TABLE t",
    "SHOW DATABASES",
    "DESCRIBE TABLE t",
    "DESCRIBE (SELECT 1)",
    "EXISTS TABLE t",
    "EXPLAIN SELECT * FROM t",
    "EXPLAIN AST SELECT 1",
    "SELECT name, value, readonly FROM system.settings LIMIT 3",
    "SELECT * FROM numbers(3)",
    "SELECT * FROM values('a UInt8', 1, 2)",
    "SELECT count() FROM merge('default', 't')",
    "SELECT count() FROM other.u",
    "SELECT 'caf\u00e9', '\u201cquoted\u201d'",
]


@pytest.mark.parametrize("statement", HARMLESS)
def test_harmless_statement_is_answered(ask, statement):
    response = ask(statement.format())
    assert response.status == 200, response.data
