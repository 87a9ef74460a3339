"""A log of several closed segments that is signed, and an archiver for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.object_store import Store
from support.waiting import PATIENCE

from audit_emit import Emitter
from audit_emit._archive.journal import Journal
from audit_emit._archive.run import Archiver, Done
from audit_emit._archive.sources import Segments
from audit_emit._checkpoints.checkpointer import Checkpointer
from audit_emit._readers.files.opening import readers_of
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing

DAY = 86_400 * 10**9
KEY = Ed25519Key.from_seed(b"\7" * 32)
RING = KeyRing([KEY])
ORIGIN = "audit.example.com/shop"


class SignedLog:
    """A log that a service writes and a signer signs.

    Attributes:
        directory: of the log.
        active: its active segment.
    """

    def __init__(self, directory: Path, *, max_bytes: int = 16_384) -> None:
        self.directory = directory
        self.active = directory / "audit.jsonl"
        self.emitter = Emitter(
            service="shop",
            jsonl=str(self.active),
            stdout=False,
            max_bytes=max_bytes,
            checkpoint=False,
        )
        self.ring = RING

    def add(self, count: int, **fields: Any) -> SignedLog:
        """Records, and a checkpoint that covers all of them."""
        for number in range(count):
            assert self.emitter.emit({"user_id": "u-17"}, "secret.set", {"n": number, **fields})
        return self.sign()

    def sign(self) -> SignedLog:
        assert self.emitter.flush(PATIENCE)
        signer = Checkpointer(
            str(self.active), self.ring, origin=ORIGIN, record=self.emitter.record_own
        )
        assert signer.run("manual") is not None
        assert self.emitter.flush(PATIENCE)
        return self

    def closed(self) -> list[Path]:
        """The closed segments, oldest first."""
        return sorted(self.directory.glob("audit-*.jsonl"))

    @contextmanager
    def archiver(self, store: Store, *, days: int = 0, **given: Any) -> Iterator[Archiver]:
        """See ``Archiver``; ``given`` are settings of the archive.

        Args:
            days: for the clock, which stands still at noon, so that no midnight comes between.
        """
        now = time.time_ns() // DAY * DAY + DAY // 2 + days * DAY
        with store.opened(**given) as bucket, readers_of([str(self.directory)])[0] as reader:
            path = str(self.directory / "archive.jsonl")
            with Journal(path, bucket.settings.shown) as journal:
                source = Segments(reader, str(self.active))
                yield Archiver(
                    bucket,
                    source,
                    self.ring,
                    journal,
                    self.emitter.record_own,
                    now_ns=lambda: now,
                )

    def archive(self, store: Store, **given: Any) -> Done:
        """Everything that can be archived now."""
        with self.archiver(store, **given) as archiver:
            done = archiver.run()
        assert self.emitter.flush(PATIENCE)
        return done

    def read(self) -> bytes:
        """The bytes of the whole log, oldest first."""
        return b"".join(path.read_bytes() for path in [*self.closed(), self.active])

    def close(self) -> None:
        self.emitter.close()


Make = Callable[..., SignedLog]
