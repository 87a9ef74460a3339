from __future__ import annotations

import errno
import os
from pathlib import Path

import httpx
import pytest

from audit_emit._runtime.words import why_not_opened, words_of
from audit_emit._settings.settings import settings
from audit_emit._signing.trusted_keys import read_keys
from audit_emit.errors import ConfigError


def test_a_wrapped_error_of_the_system_is_said_in_its_words_and_nothing_else_is_repeated() -> None:
    refused = httpx.ConnectError("[Errno 111] Connection refused")
    refused.__cause__ = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    assert words_of(refused).lower() == os.strerror(errno.ECONNREFUSED).lower()
    assert words_of(httpx.ReadTimeout("https://user:pw@host")) == "no answer in time"
    assert words_of(httpx.ConnectError("[Errno 5] https://user:pw@host")) == "the connection failed"


def test_why_a_file_is_not_opened_is_said_without_its_name() -> None:
    missing = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/a/secret")
    assert why_not_opened(missing).lower() == os.strerror(errno.ENOENT).lower()
    assert why_not_opened(ValueError("embedded null byte")) == "no file has such a name"


def test_no_setting_that_names_a_file_answers_with_the_name_of_a_class(tmp_path: Path) -> None:
    missing = str(tmp_path / "nothing")
    for given in ({"hash_key_file": missing}, {"redaction_file": missing}):
        with pytest.raises(ConfigError, match="no such file or directory") as raised:
            settings(given, {})
        assert "Error" not in str(raised.value)
    with pytest.raises(ConfigError, match="no such file or directory"):
        read_keys("key", missing)
