"""A log in several segments that is signed as it grew, some of it old; and what may go of it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from support.chain_builder import SECOND, MadeChain
from support.verifier_comparison import PAGE, both

from audit_emit._checkpoints.checkpointer import Checkpointer
from audit_emit._core.emitter import Emitter
from audit_emit._format.record import head_of
from audit_emit._retention.files import Outcome, Pruner
from audit_emit._retention.statement import Limits
from audit_emit._signing.trusted_keys import HmacKey, KeyRing
from audit_emit._stores.jsonl.directory import Layout
from audit_emit._verify.findings import Report
from audit_emit._verify.verify import Options, verify_paths

SECRET = b"k" * 32
KEY = HmacKey(SECRET)
OTHER = HmacKey(b"o" * 32)
RING = KeyRing([KEY])
DAY = 86_400 * SECOND
ORIGIN = "audit.example/shop"


class PrunableLog:
    """A log of ``records`` in segments of ``part``, one record an hour, the newest just now.

    Args:
        directory: that it gets.
        ring: the keys; the newest one signs whenever a segment was closed.
    """

    def __init__(
        self, directory: Path, *, records: int = 1400, part: int = 300, ring: KeyRing = RING
    ) -> None:
        self.path = directory
        self.ring = ring
        self.layout = Layout.of(str(directory / "audit.jsonl"))
        self.now = time.time_ns()
        directory.mkdir(parents=True)
        begin = self.now - records * 3600 * SECOND
        self.lines = MadeChain(begin=begin).add(records, step=3600 * SECOND).lines
        for first in range(1, records + 1, part):
            self.rotate()
            lines = self.lines[first - 1 : first - 1 + part]
            self.active.write_bytes(b"".join(line + b"\n" for line in lines))
            self.sign()

    @classmethod
    def at(cls, directory: Path, *, records: int, ring: KeyRing = RING) -> PrunableLog:
        """One that is there already."""
        made = object.__new__(cls)
        made.path, made.ring, made.now = directory, ring, time.time_ns()
        made.layout = Layout.of(str(directory / "audit.jsonl"))
        made.lines = [
            line
            for path in [*made.segments(), made.active]
            for line in path.read_bytes().splitlines()
        ][:records]
        return made

    @property
    def active(self) -> Path:
        """The active segment."""
        return self.path / "audit.jsonl"

    def rotate(self) -> None:
        """Close the active segment, if there is one."""
        if self.active.exists():
            line = self.active.read_bytes().splitlines()[0]
            head = head_of(line)
            assert head is not None
            self.active.rename(self.layout.closed(head.seq))

    def append(self, event_type: str, fields: dict[str, Any]) -> None:
        """A record about the log itself."""
        emitter = Emitter(
            service="secrets-api",
            jsonl=str(self.active),
            stdout=False,
            durability="always",
            checkpoint=False,
        )
        emitter.record_own(event_type, fields)
        emitter.close()

    def sign(self, ring: KeyRing | None = None, **more: Any) -> None:
        """A checkpoint over all of it."""
        signer = Checkpointer(
            str(self.active), ring or self.ring, origin=ORIGIN, record=lambda *_: None, **more
        )
        signer.run("manual")

    def prune(self, days: float = 30, *, ring: KeyRing | None = None, **more: Any) -> Outcome:
        """Remove what is older."""
        limits = Limits(
            int(self.now - days * DAY), f"older than {days}d", more.pop("allowed", None)
        )
        return Pruner(self.layout, ring or self.ring, self.append).run(limits, **more)

    def verify(self, ring: KeyRing | None = None, **options: Any) -> Report:
        """The verdict on it; with ``KEY`` alone, and with none, also that of the page."""
        chosen = self.ring if ring is None else ring
        if not options and set(chosen.keys) <= {KEY}:
            return both(self.path, key=SECRET if chosen.keys else None, by=[PAGE])
        return verify_paths([str(self.path)], Options(ring=chosen, **options))[0].report

    def segments(self) -> list[Path]:
        """The closed ones, oldest first."""
        return sorted(self.path.glob("audit-*.jsonl"))

    def copy(self, to: Path) -> PrunableLog:
        """The same log elsewhere."""
        shutil.copytree(self.path, to)
        made = object.__new__(PrunableLog)
        made.__dict__.update(self.__dict__)
        made.path, made.layout = to, Layout.of(str(to / "audit.jsonl"))
        return made
