"""What leaves through Apprise: text, and nothing of this machine's files."""

from __future__ import annotations

import json
import os
import resource

import pytest

from receivers import mailbox, webhook
from tachograph_collector.alerts.apprise_process import AppriseProcess
from tachograph_collector.alerts.network import networks
from tachograph_collector.alerts.webhook import UndeliveredError


@pytest.fixture(scope="module")
def apprise():
    process = AppriseProcess(networks("127.0.0.0/8"))
    yield process
    process.close()


def test_a_url_cannot_name_a_file_that_leaves_with_the_message(apprise, tmp_path):
    secret = tmp_path / "credentials.json"
    secret.write_text(json.dumps({"type": "message", "attachments": [{"token": "s3cr3t"}]}))
    with webhook() as hook:
        where = hook.url.removeprefix("http://").partition("/")[0]
        url = f"workflows://{where}/{'a' * 32}/signature?template={secret}"
        with pytest.raises(UndeliveredError, match="could not be read"):
            apprise.send(url, "title", "body", "warning")
        assert hook.bodies == []


def test_it_answers_a_collector_that_has_a_thousand_connections():
    """Descriptors beyond 1,024 are out of the reach of ``select``."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit < 1_200:
        pytest.skip("this machine allows a process fewer than 1,200 open files")
    process = AppriseProcess(networks("127.0.0.0/8"))
    held = []
    try:
        while not held or held[-1] < 1_100:
            held.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(UndeliveredError, match="does not know this URL"):
            process.send("nonsense", "title", "body", "warning")
    finally:
        process.close()
        for descriptor in held:
            os.close(descriptor)


def test_names_in_a_mail_are_no_html_and_call_nobody(apprise):
    hostile = 'agent <img src="http://elsewhere.example/x"> @everyone: 3 or more'
    with mailbox() as (where, mails):
        for options in ("", "&format=html"):
            url = f"mailto://{where}?from=a@b.co&to=c@d.co&mode=insecure{options}"
            apprise.send(url, "title\nBcc: e@f.co", hostile, "warning")
        plain, rich = mails
    assert plain.get_content_type() == "text/plain"
    for mail in mails:
        assert mail["Bcc"] is None
        for part in mail.walk():
            text = (part.get_payload(decode=True) or b"").decode()
            assert "@everyone" not in text
            assert part.get_content_type() != "text/html" or "<img" not in text
    assert any(part.get_content_type() == "text/html" for part in rich.walk())
