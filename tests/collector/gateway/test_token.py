"""The token file: made once, private, refused when others could have read it."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from tachograph_collector.errors import StartError
from tachograph_collector.gateway.token import FILE_NAME, ensure_token


def test_a_token_is_made_once_with_256_bits_and_kept(tmp_path):
    home = tmp_path / "home"
    token = ensure_token(home)
    assert len(bytes.fromhex(token)) == 32
    assert ensure_token(home) == token
    assert ensure_token(tmp_path / "another") != token


def test_the_file_is_readable_by_its_owner_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        ensure_token(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_open_to_others_is_refused_with_a_remedy(tmp_path, mode):
    ensure_token(tmp_path)
    (tmp_path / FILE_NAME).chmod(mode)
    with pytest.raises(StartError, match="chmod 600"):
        ensure_token(tmp_path)


@pytest.mark.parametrize("content", ["", "short\n", "x y" * 30, "é" * 80])
def test_a_file_without_a_token_is_refused(tmp_path, content):
    path = tmp_path / FILE_NAME
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(StartError, match="no token"):
        ensure_token(tmp_path)


def test_a_link_is_not_followed(tmp_path):
    target = tmp_path / "elsewhere"
    target.write_text("a" * 64)
    target.chmod(0o600)
    (tmp_path / FILE_NAME).symlink_to(target)
    with pytest.raises(OSError, match="symbolic"):
        ensure_token(tmp_path)


def test_many_at_once_agree_on_one_token(tmp_path):
    with ThreadPoolExecutor(16) as threads:
        tokens = set(threads.map(lambda _: ensure_token(tmp_path), range(64)))
    assert len(tokens) == 1
