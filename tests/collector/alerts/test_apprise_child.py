"""What leaves through Apprise: text, and nothing of this machine's files."""

from __future__ import annotations

import json

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
