"""Accounts of real runs: recorded by many clients, and published ones."""

import gzip

from account_rows import everything

from tachograph_schemas import queries
from tachograph_schemas.account import build, title

UNSEEN = {*map(chr, range(32)), "\x7f", "\u200b", "\u202e", "\u2028"}


def test_every_real_run_gets_an_account(client, load, shared_data):
    load(*(path.read_bytes() for path in sorted((shared_data / "captures").glob("*/*.pb"))))
    for name in ("langfuse", "who_and_when", "docent_inspect"):
        bodies = sorted((shared_data / "runs" / name).glob("*.pb.gz"))
        load(*(gzip.decompress(path.read_bytes()) for path in bodies))
    runs = queries.runs(client, queries.RunFilter(), queries.RunPage(limit=1000))
    assert len(runs) > 100
    for row in runs:
        run = queries.run(client, row.run_id)
        account = build(run, queries.account_spans(client, run.run_id))
        assert account.title
        assert title(row)
        assert account.verdict
        assert all(section.lines for section in account.sections)
        for text in everything(account):
            assert not set(text) & UNSEEN
