"""A store that is not there is told at once, one that was there is waited for."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from audit_emit._objects.bucket import Bucket
from audit_emit._objects.first_contact import FirstContact
from audit_emit._settings.archive import ArchiveSettings
from audit_emit.errors import ObjectStoreError


def test_a_port_that_nobody_listens_on_is_asked_twice_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "for-tests")
    attempts: list[Any] = []
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # and never listens
        endpoint = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        settings = ArchiveSettings(bucket="audit", endpoint=endpoint, region="eu-1")
        with Bucket(settings) as bucket:
            bucket._client.meta.events.register("before-send.s3", lambda **_: attempts.append(1))
            with pytest.raises(ObjectStoreError, match="cannot be reached: ") as raised:
                bucket.look_at("key")
    assert len(attempts) == 2
    assert endpoint in str(raised.value)
    assert "AUDIT_EMIT_ARCHIVE_ENDPOINT" in str(raised.value)
    assert raised.value.reason == "unreachable"


def test_a_store_that_has_answered_is_waited_for_as_botocore_does() -> None:
    from botocore.exceptions import ConnectTimeoutError

    late = ConnectTimeoutError(endpoint_url="http://store")
    contact = FirstContact()
    with pytest.raises(ConnectTimeoutError):
        contact(attempts=1, caught_exception=late)
    contact(response=object(), attempts=1)
    contact(attempts=3, caught_exception=late)
