from __future__ import annotations

import errno
import os

import httpx

from audit_emit._runtime.words import words_of


def test_a_wrapped_error_of_the_system_is_said_in_its_words_and_nothing_else_is_repeated() -> None:
    refused = httpx.ConnectError("[Errno 111] Connection refused")
    refused.__cause__ = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    assert words_of(refused).lower() == os.strerror(errno.ECONNREFUSED).lower()
    assert words_of(httpx.ReadTimeout("https://user:pw@host")) == "no answer in time"
    assert words_of(httpx.ConnectError("[Errno 5] https://user:pw@host")) == "the connection failed"
