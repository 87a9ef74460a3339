"""A bucket of an object store, asked through a proxy that sees every request."""

from __future__ import annotations

import io
from collections.abc import Iterator
from hashlib import sha256

import pytest
from support.faulty_store import FaultyStore
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
