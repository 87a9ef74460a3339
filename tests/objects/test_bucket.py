"""A bucket of an object store, asked through a proxy that sees every request."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from hashlib import sha256

import pytest
from support.faulty_store import Answer, FaultyStore
from support.object_store import Store

from audit_emit._objects.bucket import Bucket
from audit_emit.errors import ObjectStoreError

OURS, THEIRS = "111122223333", "444455556666"


@pytest.fixture
def proxy(store: Store) -> Iterator[FaultyStore]:
    """In front of a bucket that belongs to ``OURS``."""
    with FaultyStore(store.endpoint, owner=OURS) as made:
        yield made


def use(bucket: Bucket) -> None:
    """Everything that is asked of a store."""
    data = b"bytes"
    version = bucket.put("key", io.BytesIO(data), sha256(data).hexdigest())
    bucket.hold("key", version, on=True)
    bucket.hold("key", version, on=False)
    assert bucket.look_at("key", version) is not None
    assert bucket.small("key") == data
    assert list(bucket.names()) == ["key"]
    assert [one.key for one in bucket.versions()] == ["key"]
    assert bucket.protection().lock


def test_every_request_says_whose_bucket_is_meant(store: Store, proxy: FaultyStore) -> None:
    with store._replace(endpoint=proxy.endpoint).opened(owner=OURS) as bucket:
        use(bucket)
    assert len(proxy.requests) > 8
    assert {one.owner for one in proxy.requests} == {OURS}


def test_nothing_is_put_into_a_bucket_of_somebody_else(store: Store, proxy: FaultyStore) -> None:
    with store._replace(endpoint=proxy.endpoint).opened(owner=THEIRS) as bucket:
        with pytest.raises(ObjectStoreError, match="AUDIT_EMIT_ARCHIVE_OWNER") as raised:
            use(bucket)
        assert raised.value.reason == "denied"
    assert store.names() == []


def header(name: str, value: str) -> Callable[[Answer], Answer]:
    def said(answer: Answer) -> Answer:
        others = [one for one in answer[1] if one[0].lower() != name]
        return answer[0], [*others, (name, value)], answer[2]

    return said


def member(name: bytes, value: bytes) -> Callable[[Answer], Answer]:
    pattern, made = re.compile(b"<%b>[^<]*" % name), b"<%b>%b" % (name, value)
    return lambda answer: (answer[0], answer[1], pattern.sub(made, answer[2]))


LIES = {
    "a checksum that is no text": header("x-amz-checksum-sha256", "\xe9" * 44),
    "a lock until no day": header("x-amz-object-lock-retain-until-date", "tomorrow"),
    "a version with an escape": header("x-amz-version-id", "v\x1b[31m"),
    "a version of 5000 letters": header("x-amz-version-id", "v" * 5000),
    "a size that is none": member(b"Size", b"many"),
    "a time that is none": member(b"LastModified", b"soon"),
    "no time": member(b"LastModified", b"</LastModified><Other>"),
    "no list": lambda answer: (200, [], b"<") if b"<?xml" in answer[2] else answer,
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_cannot_be_understood_is_told_as_one(
    store: Store, proxy: FaultyStore, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    proxy.said = LIES[lie]
    with store._replace(endpoint=proxy.endpoint).opened() as bucket:
        with pytest.raises(ObjectStoreError) as raised:
            use(bucket)
        assert raised.value.reason in {"answer", "failed"}
        assert raised.value.unknown  # it may have been done all the same
        assert "\x1b" not in str(raised.value)
