"""Checks an archive against its manifests, and against what the log and the journal have of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from audit_emit._archive.proving import prove_part
from audit_emit._format.manifest import Manifest, Packed, folder_of
from audit_emit._format.record import ns_of
from audit_emit._objects.bucket import Bucket, Stored, Version
from audit_emit._objects.first import first_version
from audit_emit._readers.archived.manifests import Cold
from audit_emit._readers.archived.vouching import vouched
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import ArchiveError, ObjectStoreError

MISSING, ALTERED, EXTRA = "missing", "altered", "extra"
UNLOCKED, EXPIRING, REPLACED = "unlocked", "expiring", "replaced"
UNSIGNED, UNCHECKED, STALE = "unsigned", "unchecked", "stale"
WARNINGS = frozenset({EXTRA, UNLOCKED, EXPIRING, REPLACED, UNCHECKED, STALE})
"""Kinds of issues with which every record is still there as it was."""

DAY = 86_400


class Issue(NamedTuple):
    """One thing that is not as it should be.

    Attributes:
        kind: ``missing``, ``altered``, ``unsigned`` (a forged manifest), ``unchecked`` (its key is
            not given), ``replaced`` (a newer version, or a delete marker, lies over what was
            archived, which is there still), ``extra`` (no manifest names it), ``unlocked``,
            ``expiring``, ``stale`` (nothing is newer: the newest manifests were taken away, or
            nobody archives any more).
        key: of the object.
        note: for people.
    """

    kind: str
    key: str
    note: str


class Wanted(NamedTuple):
    """What an archive is checked against.

    Attributes:
        ring: the trusted keys.
        known: by object key, the SHA-256 of manifests that a journal or the log names.
        locked: whether every object should be locked.
        days: a lock that ends within this many days is an issue.
        now: seconds since 1970.
        deep: whether every object is fetched and every record verified; if keys are given, only
            for manifests that one of them has signed.
        fresh: how many days old the newest manifest may be; ``None`` for any age.
        ended: chains that have ended, whose newest manifest may be of any age.
    """

    ring: KeyRing
    known: Mapping[str, str]
    locked: bool
    days: int
    now: float
    deep: bool = True
    fresh: int | None = None
    ended: Collection[str] = ()


class Inspection:
    """Checks one chain in an archive.

    Args:
        bucket: where it is.
        cold: its manifests.
        wanted: see ``Wanted``.
        progress: called with the number of records checked, and of all records.
    """

    def __init__(
        self,
        bucket: Bucket,
        cold: Cold,
        wanted: Wanted,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._bucket = bucket
        self._cold = cold
        self._wanted = wanted
        self._progress = progress

    def issues(self) -> Iterator[Issue]:
        """All issues.

        Raises:
            ObjectStoreError: the store gives no answer.
        """
        yield from (Issue(ALTERED, key, why) for key, why in self._cold.wrong)
        manifests = self._cold.manifests
        trusted = {one.place for one in vouched(manifests, self._wanted.ring)}
        yield from self._unknown(manifests)
        before: Manifest | None = None
        for one in manifests:
            known = not self._wanted.ring.keys or one.place in trusted
            yield from self._signature(one, known=known)
            yield from self._part(one, before, fetch=self._wanted.deep and known)
            before = one
            if self._progress is not None:
                self._progress(one.last_seq, manifests[-1].last_seq)
        yield from self._others(manifests)
        yield from self._stale(manifests[-1:])

    def _stale(self, newest: Iterable[Manifest]) -> Iterator[Issue]:
        """Whether the newest manifest is too old: every day has one, also without new records.

        One with a time in the future is an issue, too: it would pass for new until then.
        """
        fresh = self._wanted.fresh if self._cold.chain not in self._wanted.ended else None
        for one in newest if fresh is not None else ():
            days = (self._wanted.now - ns_of(one.at) / 1e9) / DAY
            if fresh is not None and not -1 <= days <= fresh:
                ahead = ", which is still to come, so it tells nothing" if days < 0 else ""
                yield Issue(STALE, one.key, f"the newest manifest is of {one.at}{ahead}")

    def _unknown(self, manifests: Iterable[Manifest]) -> Iterator[Issue]:
        """Manifests that the log or a journal names, and that are gone or different."""
        there = {one.key: one.digest() for one in manifests}
        for key, digest in self._wanted.known.items():
            if f"/{self._cold.chain}/" not in f"/{key}":
                continue
            if key not in there:
                yield Issue(MISSING, key, "a manifest that the log names is gone, or is none")
            elif there[key] != digest:
                yield Issue(ALTERED, key, "it is not the manifest that the log names")

    def _signature(self, one: Manifest, *, known: bool) -> Iterator[Issue]:
        verdict = one.check(self._wanted.ring)
        if verdict == "mismatch":
            yield Issue(UNSIGNED, one.key, "the key that it names has not signed it")
        elif verdict == "key-unavailable":
            why = f"{one.sig_alg} key {one.key_id} is not given"
            yield Issue(UNCHECKED, one.key, why if known else f"{why}; nothing of it was fetched")

    def _part(self, one: Manifest, before: Manifest | None, *, fetch: bool) -> Iterator[Issue]:
        sound = True
        for part in one.parts:
            for issue in self._object(one.key_of(part), part):
                sound &= issue.kind not in {MISSING, ALTERED}
                yield issue
        yield from self._lock(
            one.key, self._bucket.look_at(one.key, first_version(self._bucket, one.key))
        )
        if not fetch or not sound:
            return
        try:
            prove_part(self._bucket, one, before)
        except ArchiveError as error:
            yield Issue(ALTERED, one.key_of(one.object), str(error))

    def _object(self, key: str, part: Packed) -> Iterator[Issue]:
        stored = self._bucket.look_at(key, part.version)
        if stored is None:
            yield Issue(MISSING, key, "the object is gone")
            return
        if stored.size != part.packed_size or stored.sha256 not in {"", part.packed_sha256}:
            yield Issue(ALTERED, key, "it is not what its manifest says")
        yield from self._lock(key, stored)

    def _lock(self, key: str, stored: Stored | None) -> Iterator[Issue]:
        if stored is None or not self._wanted.locked or stored.hold:
            return
        if not stored.mode:
            yield Issue(UNLOCKED, key, "nothing keeps it from being deleted")
        elif stored.until < self._wanted.now + self._wanted.days * DAY:
            days = max(0, int((stored.until - self._wanted.now) // DAY))
            yield Issue(EXPIRING, key, f"its lock ends in {days} days")

    def _others(self, manifests: Sequence[Manifest]) -> Iterator[Issue]:
        """Objects that no manifest names, and newer versions of objects that one names."""
        named: dict[str, str] = {}
        for one in manifests:
            named[one.key] = ""
            for part in one.parts:
                named[one.key_of(part)] = part.version
        for folder in sorted({folder_of(one.key) for one in manifests}):
            for key, versions in self._versions(f"{folder}/").items():
                if key not in named:
                    if not all(one.deleted for one in versions):
                        yield Issue(EXTRA, key, "no manifest names it")
                elif len(versions) > 1:
                    yield Issue(
                        REPLACED, key, f"{len(versions)} versions lie under its key; one was put"
                    )

    def _versions(self, below: str) -> dict[str, list[Version]]:
        found: dict[str, list[Version]] = defaultdict(list)
        try:
            for one in self._bucket.versions(below):
                found[one.key].append(one)
        except ObjectStoreError as error:
            if error.reason not in {"not-implemented", "denied"}:
                raise
            for key in self._bucket.names(below):
                found[key] = [Version(key, "", 0, latest=True, deleted=False)]
        return found
