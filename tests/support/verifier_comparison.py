"""The library's verifier and the others, each given the same log and expected to agree.

Another verifier joins in as a file in ``OTHERS``: a module with a function
``verify(directory, keys, as_of)``. It is given the path of a log, shared keys as bytes, and the
time in nanoseconds since 1970 (``None``: now), and returns a list of ``(kind, seq, place)``.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from audit_emit import Emitter
from audit_emit._checkpoints.checkpointer import Checkpointer
from audit_emit._signing.trusted_keys import HmacKey, Key, KeyRing
from audit_emit._verify.findings import Report
from audit_emit._verify.verify import Options, verify_paths

SCRIPT = Path(__file__).parents[2] / "docs" / "verify_chain.py"
PAGE = Path(__file__).with_name("wire_format_verifier.py")
OTHERS = (SCRIPT, PAGE)
SECRET = b"tamper matrix, a key of 32 bytes"
KEY = HmacKey(SECRET)
ORIGIN = "audit.example.com/tests"


Found = list[tuple[str, int | None, str]]


def _load(path: Path) -> Callable[[Path, Sequence[bytes], int | None], Found]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    verify: Callable[..., Found] = module.verify
    return verify


others = {path.name: _load(path) for path in OTHERS}


def ours(path: Path, *keys: Key, **more: Any) -> Report:
    """The verdict of the library."""
    (verified,) = verify_paths([str(path)], Options(ring=KeyRing(keys), **more))
    return verified.report


def both(
    directory: Path,
    *more: bytes,
    key: bytes | None = SECRET,
    as_of: int | None = None,
    by: Sequence[Path] = OTHERS,
) -> Report:
    """The verdict of the library, once all verifiers have come to it.

    Args:
        directory: the log.
        more: keys beside ``key``.
        key: the shared key that signed; ``None`` for nobody's.
        as_of: nanoseconds since 1970; now when it is not given.
        by: the other verifiers.

    Raises:
        AssertionError: they disagree.
    """
    keys = [*([key] if key else []), *more]
    report = ours(directory, *map(HmacKey, keys), as_of=as_of)
    mine = Counter((str(finding.kind), finding.seq) for finding in report.findings)
    for name in [path.name for path in by]:
        found = others[name](directory, keys, as_of)
        theirs = Counter((kind, seq) for kind, seq, _ in found)
        assert mine == theirs, f"only ours: {mine - theirs}, only {name}: {theirs - mine}"
    return report


def kinds(report: Report) -> dict[str, list[int | None]]:
    """The ``seq`` of every finding, by kind."""
    found: dict[str, list[int | None]] = {}
    for finding in report.findings:
        found.setdefault(str(finding.kind), []).append(finding.seq)
    return found


class MadeLog:
    """A log made by the real emitter, with checkpoints made by the real signer.

    Attributes:
        directory: the log.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(
        self, rounds: int, events: int, *, max_bytes: int = 16384, keys: Sequence[Key] = (KEY,)
    ) -> None:
        """Emit ``events`` records and sign them, ``rounds`` times; without keys nothing signs."""
        emitter = Emitter(
            service="tests",
            jsonl=self.active,
            stdout=False,
            max_bytes=max_bytes,
            durability="os",
        )
        ring = KeyRing(keys or [KEY])
        signer = Checkpointer(str(self.active), ring, origin=ORIGIN, record=emitter.record_own)
        for number in range(rounds):
            for event in range(events):
                assert emitter.emit(None, "x.y", {"round": number, "n": event, "name": "caf\u00e9"})
            assert not keys or signer.run("manual") is not None
        emitter.close()

    @property
    def active(self) -> Path:
        return self.directory / "audit.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.directory / "checkpoints.jsonl"

    @property
    def segments(self) -> list[Path]:
        """All segments, oldest first."""
        return [*sorted(self.directory.glob("audit-*.jsonl")), self.active]

    def copy(self, to: Path) -> MadeLog:
        """The same log somewhere else, to be spoilt."""
        shutil.copytree(self.directory, to)
        return MadeLog(to)

    def lines(self) -> list[bytes]:
        """The lines of all segments, with their newlines: record ``seq`` is number ``seq`` - 1."""
        return [line for path in self.segments for line in path.read_bytes().splitlines(True)]

    def place(self, seq: int) -> tuple[Path, int]:
        """The file of a record, and its index there."""
        for path in self.segments:
            count = path.read_bytes().count(b"\n")
            if seq <= count:
                return path, seq - 1
            seq -= count
        raise LookupError(seq)

    def edit(self, seq: int, change: Callable[[list[bytes], int], None]) -> None:
        """Change the lines of the file that holds a record."""
        path, index = self.place(seq)
        lines = path.read_bytes().splitlines(keepends=True)
        change(lines, index)
        path.write_bytes(b"".join(lines))

    def edit_checkpoints(self, change: Callable[[list[bytes]], None]) -> None:
        """Change the lines of ``checkpoints.jsonl``."""
        lines = self.checkpoints.read_bytes().splitlines(keepends=True)
        change(lines)
        self.checkpoints.write_bytes(b"".join(lines))


def leaf(line: bytes) -> str:
    """The hash of a line (wire format, section 2)."""
    from hashlib import sha256

    return sha256(b"\0" + line.removesuffix(b"\n")[:-75] + b"}").hexdigest()


def rechained(lines: Sequence[bytes], prev_hash: str) -> list[bytes]:
    """The same records with hashes and links that hold again: what an intruder would do."""
    made = []
    for line in lines:
        at = line.rindex(b',"prev_hash":"')
        head = line[:at] + b',"prev_hash":"' + prev_hash.encode() + b'"'
        prev_hash = leaf(head + b',"hash":"' + b"0" * 64 + b'"}\n')
        made.append(head + b',"hash":"' + prev_hash.encode() + b'"}\n')
    return made


def renumbered(lines: Sequence[bytes]) -> list[bytes]:
    """The same records as if there were no others."""
    return [
        re.sub(
            rb'"seq":[0-9]+(?=,"prev_hash":"[0-9a-f]{64}","hash":"[^"]*"}\n$)',
            b'"seq":%d' % seq,
            line,
        )
        for seq, line in enumerate(lines, 1)
    ]
