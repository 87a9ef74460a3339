"""A log read back and checked from ``docs/wire-format.md`` alone, by no code of the library."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

MEMBERS = (
    "ts event_type workspace_id user_id actor_kind correlation_id fields v id service "
    "trace_id span_id chain seq prev_hash hash"
).split()
OPTIONAL = {"trace_id", "span_id"}


class Line(NamedTuple):
    """One line of a file; ``record`` is ``None`` when it is none."""

    offset: int
    raw: bytes
    record: dict[str, Any] | None

    @property
    def end(self) -> int:
        return self.offset + len(self.raw)


class LogFile:
    """One segment, whatever its name is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path.read_bytes()
        self.lines: list[Line] = []
        offset = 0
        for raw in self.data.split(b"\n"):
            end = offset + len(raw) + 1
            if offset < len(self.data):
                whole = self.data[offset:end]
                self.lines.append(Line(offset, whole, parse(whole)))
            offset = end

    @property
    def records(self) -> list[dict[str, Any]]:
        return [line.record for line in self.lines if line.record is not None]


class Log:
    """Every file of a directory whose name begins with ``audit``, oldest first."""

    def __init__(self, directory: Path) -> None:
        names = [p for p in directory.iterdir() if p.is_file() and p.name.startswith("audit")]
        names = [p for p in names if not p.name.endswith((".lock", ".new"))]
        files = [LogFile(path) for path in names]
        self.files = sorted(files, key=_first_seq)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [record for file in self.files for record in file.records]

    def of(self, event_type: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["event_type"] == event_type]

    @property
    def numbers(self) -> list[int]:
        """``fields.n`` of every event of a test, in the order of the files."""
        return [r["fields"]["n"] for r in self.records if "n" in r["fields"]]

    def declared_lost(self, sink: str = "jsonl") -> int:
        gaps = self.of("audit.gap")
        return sum(gap["fields"]["lost"] for gap in gaps if gap["fields"]["sink"] == sink)

    def check(
        self,
        *,
        twice: bool = False,
        torn_end: bool = False,
        known: Iterable[str] = (),
        spoiled: Iterable[bytes] = (),
    ) -> Log:
        """Everything that a verifier would complain about fails here.

        Args:
            twice: whether an id may be there more than once.
            torn_end: whether a file may end in bytes that nobody has declared yet.
            known: hashes of records that the test destroyed; one may follow them.
            spoiled: lines that the test changed, which nobody need have noticed.
        """
        for file in self.files:
            check_file(file, torn_end=torn_end, known=set(known), spoiled=set(spoiled))
        if not twice:
            check_ids(self)
        return self


def _first_seq(file: LogFile) -> int:
    return min((record["seq"] for record in file.records), default=1 << 60)


def parse(raw: bytes) -> dict[str, Any] | None:
    """A chained record from its line, or ``None``; a record out of shape is a failure."""
    if not raw.endswith(b'"}\n'):
        return None
    try:
        record = json.loads(raw, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or "hash" not in record:
        return None
    missing = set(MEMBERS) - OPTIONAL - set(record)
    assert not missing, f"a record without {missing}: {raw!r}"
    assert list(record) == [name for name in MEMBERS if name in record], raw
    return record


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = Counter(name for name, _ in pairs)
    assert not names or max(names.values()) == 1, f"duplicate members: {names}"
    return dict(pairs)


def hash_of(raw: bytes) -> str:
    """Section 2: SHA-256 over a zero byte and the line without its ``hash`` member."""
    line = raw.rstrip(b"\n")
    body = line[: -(len(',"hash":"') + 64 + len('"}'))] + b"}"
    return hashlib.sha256(b"\0" + body).hexdigest()


def check_file(file: LogFile, *, torn_end: bool, known: set[str], spoiled: set[bytes]) -> None:
    """Hashes, links, and that everything which is no record was declared."""
    before: dict[str, Any] | None = None
    loose: list[tuple[int, int]] = []
    declared: list[tuple[int, int]] = []
    for line in file.lines:
        record = line.record
        if record is None:
            if line.raw not in spoiled and not _is_legacy(line.raw):
                loose.append((line.offset, line.end))
            continue
        assert record["hash"] == hash_of(line.raw), f"{file.path.name} at {line.offset}: hash"
        if before is not None and not (known and record["prev_hash"] in known - {before["hash"]}):
            _check_link(before, record, file.path.name)
        if record["event_type"] == "audit.recovered":
            declared.append(_tear(file, record["fields"]))
        before = record
    end = file.lines[-1].end if file.lines else 0
    # What comes after the last record, nobody has had to look at yet.
    last = max((line.end for line in file.lines if line.record is not None), default=0)
    for start, stop in loose:
        if torn_end and start >= last and stop <= end:
            continue
        covered = any(a <= start and stop - 1 <= b for a, b in declared)
        assert covered, f"{file.path.name}: bytes {start} to {stop} are no record and not declared"


def _check_link(before: dict[str, Any], record: dict[str, Any], name: str) -> None:
    assert record["ts"] != before["ts"], f"{name}: two records with the same ts"
    if record["seq"] == before["seq"] + 1 and record["prev_hash"] == before["hash"]:
        assert record["chain"] == before["chain"], name
        return
    told = record["event_type"] == "audit.gap" and record["fields"]["sink"] == "jsonl"
    assert told, f"{name}: seq {record['seq']} does not follow {before['seq']}"
    known = before["seq"] if before["chain"] == record["chain"] else 0
    assert record["fields"]["lost"] == max(record["seq"] - 1 - known, 1), f"{name}: {record}"


def _tear(file: LogFile, fields: dict[str, Any]) -> tuple[int, int]:
    offset, size = fields["offset"], fields["bytes"]
    fragment = file.data[offset : offset + size]
    assert hashlib.sha256(fragment).hexdigest() == fields["sha256"], fields
    return offset, offset + size


def _is_legacy(raw: bytes) -> bool:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"ts", "event_type"} <= set(found)


def check_ids(log: Log) -> None:
    """One record per id, but for those that a failed sync made the emitter write again."""
    times = Counter(record["id"] for record in log.records)
    again = sum(count - 1 for count in times.values())
    declared = sum(gap["fields"].get("rewritten", 0) for gap in log.of("audit.gap"))
    assert again <= declared, f"{again} records are there twice, {declared} declared"


def check_whole(log: Log, events: Iterable[int]) -> None:
    """Every event is in the log, or its loss is declared there."""
    missing = set(events) - set(log.numbers)
    assert len(missing) <= log.declared_lost(), f"lost without a word: {sorted(missing)}"
