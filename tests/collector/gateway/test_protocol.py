"""The HTTP interface as other clients use it: formats, headers, compression, errors."""

from __future__ import annotations

import gzip
import io
import json
import zlib

import lz4.frame
import pyarrow as pa
import pytest
from backports import zstd


def test_the_query_may_be_in_the_url_the_body_or_both(ask):
    assert ask(query="SELECT 1").data == b"1\n"
    assert ask(method="GET", query="SELECT 2").data == b"2\n"
    assert ask("SELECT 3").data == b"3\n"
    assert ask("+ 4", query="SELECT 3").data == b"7\n"
    assert (
        ask("SELECT {a:String}, {b:Array(UInt8)}", param_a="x", param_b="[1,2]").data
        == b"x\t[1,2]\n"
    )


def test_headers_describe_the_answer(ask):
    response = ask("SELECT a FROM t FORMAT JSON", query_id="q-1", session_timezone="Asia/Tokyo")
    assert response.headers["X-ClickHouse-Query-Id"] == "q-1"
    assert response.headers["X-ClickHouse-Format"] == "JSON"
    assert response.headers["X-ClickHouse-Timezone"] == "Asia/Tokyo"
    assert response.headers["X-ClickHouse-Server-Display-Name"]
    assert response.headers["Content-Type"] == "application/json; charset=UTF-8"
    summary = json.loads(response.headers["X-ClickHouse-Summary"])
    assert (summary["read_rows"], summary["result_rows"]) == ("1000", "1000")
    assert int(summary["elapsed_ns"]) > 0


@pytest.mark.parametrize("query_id", ["a\r\nX-Evil: 1", "é", "", "x" * 500])
def test_a_query_id_that_fits_no_header_is_replaced(ask, query_id):
    response = ask("SELECT 1", query_id=query_id)
    assert response.status == 200
    assert len(response.headers["X-ClickHouse-Query-Id"]) == 36
    assert "X-Evil" not in response.headers


def test_the_format_comes_from_the_text_then_the_url_then_a_header(ask):
    header = {"X-ClickHouse-Format": "CSV"}
    assert ask("SELECT 'a'", headers=header).data == b'"a"\n'
    assert (
        ask("SELECT 'a'", headers=header, default_format="JSONEachRow").data == b'{"\'a\'":"a"}\n'
    )
    text = ask("SELECT 'a' FORMAT TSV", headers=header, default_format="JSONEachRow")
    assert text.data == b"a\n"
    assert ask("SELECT 1 FORMAT Nope").status == 404


# Small blocks, so that every streamed format has to be put together from many.
BLOCKS = 'SELECT number AS `a"\n b`, toString(number) AS s FROM numbers(25)'
FORMATS = """TabSeparated TabSeparatedWithNames TabSeparatedWithNamesAndTypes TSVRaw CSV CSVWithNames
CSVWithNamesAndTypes JSON JSONCompact JSONEachRow JSONCompactEachRow JSONCompactEachRowWithNames
JSONCompactEachRowWithNamesAndTypes JSONStringsEachRow Native RowBinary RowBinaryWithNames
RowBinaryWithNamesAndTypes Values Vertical Pretty Markdown XML TSKV MsgPack SQLInsert Null""".split()  # noqa: SIM905


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("rows", ["25 rows", "no rows"])
def test_a_format_is_the_same_from_many_blocks_as_from_one(ask, name, rows):
    sql = BLOCKS + (" WHERE 0" if rows == "no rows" else "")
    options = {"output_format_json_quote_64bit_integers": 0}
    streamed = ask(f"{sql} FORMAT {name}", max_block_size=4, **options)
    whole = ask(f"{sql} FORMAT {name}", **options)
    assert streamed.status == whole.status == 200
    if name == "Native":
        assert len(streamed.data) >= len(whole.data)
    elif name.startswith("JSON") and "EachRow" not in name:
        assert json.loads(streamed.data)["data"] == json.loads(whole.data)["data"]
    elif name not in {"XML", "Pretty"}:
        assert streamed.data == whole.data


@pytest.mark.parametrize(
    ("name", "read"), [("Arrow", pa.ipc.open_file), ("ArrowStream", pa.ipc.open_stream)]
)
def test_arrow_is_one_document_however_many_blocks(ask, name, read):
    response = ask(
        f"SELECT number, toString(number) AS s FROM numbers(25) FORMAT {name}", max_block_size=4
    )
    table = read(io.BytesIO(response.data)).read_all()
    assert table["s"].to_pylist() == [str(n) for n in range(25)]


def test_totals_and_extremes_are_not_lost(ask):
    totals = ask("SELECT a % 2 AS k, count() FROM t GROUP BY k WITH TOTALS ORDER BY k FORMAT TSV")
    assert totals.data == b"0\t500\n1\t500\n\n0\t1000\n"
    extremes = ask("SELECT a FROM t WHERE a < 2 ORDER BY a FORMAT TSV", extremes=1)
    assert extremes.data == b"0\n1\n\n0\n1\n"


DECODERS = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "zstd": zstd.decompress,
    "lz4": lz4.frame.decompress,
}


@pytest.mark.parametrize("coding", DECODERS)
@pytest.mark.parametrize("whole", ["0", "1"])
def test_answers_are_compressed_as_asked(ask, coding, whole):
    response = ask(
        "SELECT number FROM numbers(300000)",
        headers={"Accept-Encoding": coding},
        wait_end_of_query=whole,
    )
    assert response.headers["Content-Encoding"] == coding
    plain = b"".join(b"%d\n" % n for n in range(300_000))
    assert DECODERS[coding](response.data) == plain
    assert len(response.data) < len(plain)


def test_compression_can_be_declined(ask):
    for accept, setting in (("gzip;q=0", "1"), ("identity", "1"), ("gzip", "0"), ("sdch", "1")):
        response = ask(
            "SELECT 1", headers={"Accept-Encoding": accept}, enable_http_compression=setting
        )
        assert "Content-Encoding" not in response.headers
        assert response.data == b"1\n"
    assert (
        ask("SELECT 1", headers={"Accept-Encoding": "gzip;q=0, zstd"}).headers["Content-Encoding"]
        == "zstd"
    )


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("zstd", zstd.compress),
        ("lz4", lz4.frame.compress),
    ],
)
def test_request_bodies_may_be_compressed_within_bounds(ask, coding, encode):
    headers = {"Content-Encoding": coding}
    assert ask(encode(b"SELECT 5"), headers=headers).data == b"5\n"
    assert ask(encode(b"SELECT ") + encode(b"6"), headers=headers).data == b"6\n"
    assert ask(encode(b"SELECT 5")[:-3], headers=headers).status == 400
    assert ask(b"not compressed at all", headers=headers).status == 400
    bomb = encode(b"SELECT '" + b"x" * (64 << 20) + b"'")
    assert len(bomb) < 1 << 20
    assert ask(bomb, headers=headers).status == 413


def test_an_unknown_coding_and_native_compression_are_refused_plainly(ask):
    assert ask("SELECT 1", headers={"Content-Encoding": "snappy"}).status == 415
    response = ask("SELECT 1", compress=1)
    assert response.status == 501
    assert b"Accept-Encoding" in response.data
    assert ask("SELECT 1", compress=0).status == 200


@pytest.mark.parametrize(
    ("sql", "code", "status"),
    [
        ("SELECT * FROM nosuch", 60, 404),
        ("SELECT nosuch", 47, 404),
        ("SELECT nosuch(1)", 46, 404),
        ("SELECT 1 +", 62, 400),
        ("SELECT {x:UInt8}", 456, 400),
        ("SELECT toUInt8('x')", 6, 400),
        ("DROP TABLE t", 164, 403),
        ("SELECT throwIf(1)", 395, 500),
        ("", 62, 400),
        ("-- nothing", 62, 400),
    ],
)
def test_errors_have_the_engines_code_one_layer_and_a_status(ask, sql, code, status):
    response = ask(sql, wait_end_of_query=1)
    assert response.status == status
    assert response.headers["X-ClickHouse-Exception-Code"] == str(code)
    text = response.data.decode()
    assert text.startswith(f"Code: {code}. DB::Exception: ")
    assert text.count("DB::Exception") == 1
    assert text.count("(version ") == 1


def test_a_late_error_is_marked_with_the_tag_of_the_answer(ask):
    response = ask("SELECT throwIf(number = 900000) FROM numbers(1000000)", max_block_size=1000)
    assert response.status == 200
    tag = response.headers["X-ClickHouse-Exception-Tag"].encode()
    assert b"\r\n__exception__\r\n" + tag + b"\r\nCode: 395." in response.data
    assert response.data.endswith(b" " + tag + b"\r\n__exception__\r\n")
    waited = ask(
        "SELECT throwIf(number = 900000) FROM numbers(1000000)",
        max_block_size=1000,
        wait_end_of_query=1,
    )
    assert waited.status == 500


def test_other_paths_and_methods_are_refused(ask):
    for path in ("/play", "/replicas_status", "/dashboard", "/../etc/passwd"):
        assert ask(method="GET", path=path).status == 404
    assert ask("SELECT 1", method="PUT").status == 405
    assert ask(method="OPTIONS").status == 405


def test_head_sends_headers_without_a_body(ask):
    response = ask(method="HEAD", query="SELECT 1 FORMAT JSON")
    assert (response.status, response.data) == (200, b"")
    assert response.headers["X-ClickHouse-Format"] == "JSON"


def test_results_are_never_taken_for_pages(ask):
    response = ask("SELECT '<script>alert(1)</script>'")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "html" not in response.headers["Content-Type"]


def test_a_body_over_the_limit_is_refused(ask):
    assert ask(b"SELECT '" + b"x" * (5 << 20) + b"'").status == 413


def test_forms_carry_queries_but_no_external_tables(gateway, http):
    headers = {"X-ClickHouse-Key": gateway.token}
    fields = {"query": "SELECT {p:String}, {q:UInt8}", "param_p": "x\ny", "param_q": "3"}
    fields["param_p"] = "x\\ny"
    form = http.request("POST", gateway.url, fields=fields, headers=headers)
    assert form.data == b"x\\ny\t3\n"
    table = {"query": "SELECT * FROM e", "e": ("e.tsv", "1\n")}
    assert http.request("POST", gateway.url, fields=table, headers=headers).status == 501


def test_bytes_that_are_no_text_pass_through_untouched(ask):
    assert ask(b"SELECT '\xff\xfe' FORMAT RawBLOB").data == b"\xff\xfe"
