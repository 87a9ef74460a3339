"""A verifier written from ``docs/wire-format.md`` alone, without a look at the other two.

It is the test of the page: whatever a reader of the page would do otherwise than the library does
is a fault of one of them. It knows shared keys only, and reads a log whole from its directory.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import os
import re
import stat
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

ZEROS = "0" * 64
LONGEST_LINE = 1_048_576
LONGEST_CHECKPOINT = 65_536
LOOKED_AT = 262_144
HIGHEST = 2**63 - 1
SEGMENT = re.compile(
    r"audit-([0-9]{20})\.jsonl(?:\.gz|\.zst)?"
    r"|audit\.jsonl[.-](?:[0-9][0-9T_:.\-]*|old)(?:\.gz|\.zst)?"
)
LINKED = re.compile(
    rb',"chain":"([0-9a-f]{16})","seq":(0|[1-9][0-9]{0,18}),"prev_hash":"([0-9a-f]{64})"'
    rb',"hash":"([0-9a-f]{64})"\}\Z'
)
TAMPERING = frozenset(
    "event-hash-mismatch event-prev-hash-mismatch sequence-gap sequence-duplicate "
    "chain-id-mismatch malformed-line checkpoint-signature-mismatch checkpoint-root-mismatch "
    "origin-mismatch truncated missing-segment not-anchored".split()
)
MEMBERS = "v at origin chain head_seq head_hash root_hash reason sig_alg key_id signature".split()
REMOVAL = (
    "v origin first_seq last_seq records last_hash frontier size root_hash head_hash reason "
    "carried sig_alg key_id signature"
).split()
FORMS = {
    "at": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z",
    "origin": r"[!#-*,-\[\]-~]{1,255}",
    "chain": r"[0-9a-f]{16}",
    "head_hash": r"[0-9a-f]{64}",
    "root_hash": r"[0-9a-f]{64}",
    "reason": r"startup|interval|threshold|manual|shutdown|rotation",
    "sig_alg": r"[a-z][a-z0-9-]{0,31}",
    "key_id": r"[0-9a-f]{8}",
    "signature": r"[A-Za-z0-9+/]*={0,2}",
    "cosignature": r"[A-Za-z0-9+/]*={0,2}",
}


def verify(
    directory: Path, keys: list[bytes], as_of: int | None = None
) -> list[tuple[str, int | None, str]]:
    """The findings of a log: kind, ``seq`` and place of each."""
    return Verifier(Path(directory), keys, as_of).run()


class Linked:
    """A line that is in a chain: what it says of its place, and the hash that it has."""

    def __init__(self, line: bytes, match: re.Match[bytes]) -> None:
        self.line = line
        self.chain = match.group(1).decode()
        self.seq = int(match.group(2))
        self.prev_hash = match.group(3).decode()
        self.stated = match.group(4).decode()
        body = line[: -(len(',"hash":"') + 64 + len('"}'))] + b"}"
        self.hash = hashlib.sha256(b"\0" + body).hexdigest()
        self.first = False
        self.place = ""

    @property
    def right(self) -> bool:
        return self.stated == self.hash


class Head:
    """Where a chain is: its id, its number, what the next record may link to."""

    def __init__(self, chain: str | None, seq: int, hashes: tuple[str, ...]) -> None:
        self.chain, self.seq, self.hashes = chain, seq, hashes

    def followed_by(self, line: Linked) -> bool:
        return (
            line.seq == self.seq + 1
            and line.prev_hash in self.hashes
            and self.chain in (None, line.chain)
        )

    def after(self, line: Linked) -> Head:
        return Head(line.chain, line.seq, (line.hash,))


class Tree:
    """The Merkle tree of RFC 6962 as it grows; ``None`` is its root beyond a hole."""

    def __init__(self) -> None:
        self.peaks: list[tuple[int, bytes]] = []
        self.whole = True

    @classmethod
    def of(cls, frontier: str) -> Tree | None:
        """What the text of a frontier says; ``None`` for any other text."""
        if not re.fullmatch(r"(0|[1-9][0-9]*)( [0-9a-f]{64})*", frontier):
            return None
        size, *roots = frontier.split(" ")
        bits = [1 << bit for bit in range(int(size).bit_length()) if int(size) & 1 << bit]
        if len(bits) != len(roots):
            return None
        made = cls()
        made.peaks = list(zip(reversed(bits), map(bytes.fromhex, roots), strict=True))
        return made

    def add(self, leaf: str) -> None:
        size, value = 1, bytes.fromhex(leaf)
        while self.peaks and self.peaks[-1][0] == size:
            value = hashlib.sha256(b"\1" + self.peaks.pop()[1] + value).digest()
            size *= 2
        self.peaks.append((size, value))

    def root(self) -> str | None:
        if not self.whole:
            return None
        value = self.peaks[-1][1]
        for _, left in reversed(self.peaks[:-1]):
            value = hashlib.sha256(b"\1" + left + value).digest()
        return value.hex()


class Run:
    """Lines that are no records, one after the other, and their findings."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.lines: list[bytes] = []
        self.findings: list[list[Any]] = []
        self.declared = 0

    def prefix(self, length: int, digest: str) -> int:
        """How many of its first lines at most have this length and this digest; 0 for none."""
        data = b""
        found = 0
        for count, line in enumerate(self.lines, start=1):
            data += line
            for text in (data, data + b"\n"):
                if len(text) == length and hashlib.sha256(text).hexdigest() == digest:
                    found = count
            data += b"\n"
        return found


class Verifier:
    def __init__(self, directory: Path, keys: list[bytes], as_of: int | None) -> None:
        self.directory = directory
        self.keys = {hashlib.sha256(key).hexdigest()[:8]: key for key in keys}
        self.as_of = time.time_ns() if as_of is None else as_of
        self.findings: list[list[Any]] = []
        self.head = Head(None, 0, (ZEROS,))
        self.tree = Tree()
        self.doubt: tuple[str, Any] | None = None
        self.runs: list[Run] = []
        self.run_now: Run | None = None
        self.waiting: list[bytes] = []
        self.legacy: list[tuple[int, int, str]] = []
        self.declared: list[tuple[int, int, Any]] = []
        self.records: list[tuple[int, str, bool]] = []
        self.policies: list[tuple[int, int, float]] = []
        self.retired: dict[str, int] = {}
        self.changes: set[tuple[str, str]] = set()
        self.covered: dict[str, Any] | None = None
        self.covered_ts = ""
        self.told: list[int] = []
        self.before: dict[str, Any] | None = None
        self.start: Removal | None = None
        self.start_judged = False
        self.pending: Removal | None = None

    def find(self, kind: str, seq: int | None, place: str = "") -> list[Any]:
        finding = [kind, seq, place]
        self.findings.append(finding)
        return finding

    def run(self) -> list[tuple[str, int | None, str]]:
        self.read_checkpoints()
        files = self.files()
        self.begin([data for _, data in files])
        for name, data in files:
            self.read_file(name, data)
        self.settle()
        self.finish()
        return [(kind, seq, place) for kind, seq, place in self.findings]

    # Files

    def files(self) -> list[tuple[str, bytes]]:
        found: list[tuple[tuple[Any, ...], str, bytes]] = []
        names = sorted(os.listdir(self.directory))
        segments = [name for name in names if SEGMENT.fullmatch(name)]
        if "audit.jsonl" in names:
            segments.append("audit.jsonl")
        elif segments and "audit.jsonl.new" not in names:
            self.find("missing-segment", None, "audit.jsonl")
        inodes = set()
        for name in segments:
            if name.endswith((".gz", ".zst")) and name.rpartition(".")[0] in segments:
                continue
            path = self.directory / name
            found_stat = os.lstat(path)
            if not stat.S_ISREG(found_stat.st_mode):
                self.find("missing-segment", None, name)
                continue
            if found_stat.st_ino in inodes:
                continue
            inodes.add(found_stat.st_ino)
            data = unpacked(path.read_bytes())
            found.append((place_of(name, data), name, data))
        return [(name, data) for _, name, data in sorted(found, key=lambda one: one[0])]

    def read_file(self, name: str, data: bytes) -> None:
        self.run_now = None
        first = True
        *lines, tail = data.split(b"\n")
        for number, line in enumerate(lines, start=1):
            match = None if len(line) > LONGEST_LINE else LINKED.search(line)
            if match is not None and int(match.group(2)) > 0:
                self.run_now = None
                linked = Linked(line, match)
                linked.first, first = first, False
                linked.place = f"{name}:{number}"
                self.judge(linked)
            else:
                self.unlinked(line, f"{name}:{number}")
        if tail:
            self.find("torn-tail", self.head.seq + 1, name)
            match = None if len(tail) > LONGEST_LINE else LINKED.search(tail)
            if match is not None and Linked(tail, match).right:
                linked = Linked(tail, match)
                linked.first = first
                linked.place = f"{name}:{len(lines) + 1}"
                self.judge(linked)

    def unlinked(self, line: bytes, place: str) -> None:
        record: Any = None if len(line) > LONGEST_LINE else parsed(line)
        unchained = isinstance(record, dict) and "ts" in record and "event_type" in record
        if unchained and self.head.seq == 0 and "hash" not in record:
            self.run_now = None
            self.waiting.append(line)
            return
        if self.run_now is None:
            self.run_now = Run(self.head.seq + 1)
            self.runs.append(self.run_now)
        self.run_now.lines.append(line)
        self.run_now.findings.append(self.find("malformed-line", self.head.seq + 1, place))

    # A log that begins later

    def begin(self, files: list[bytes]) -> None:
        lines = [line for data in files for line in linked_lines(data)]
        if not lines or lines[0].seq == 1:
            return
        first = lines[0]
        stated = [removal_in(line) for line in lines if line.right and line.chain == first.chain]
        by_verdict: dict[bool | None, Removal] = {}
        for one in filter(None, stated):
            by_verdict[self.verdict_on(one)] = one
        self.start = by_verdict.get(True) or by_verdict.get(None)
        if self.start is None:
            return
        last, chain = self.start.last, first.chain
        for line in self.start.carried:
            self.look_inside(parsed(line.line), line.seq, chain, "audit.pruned")
        self.follow_tiles(self.start, chain)
        self.tree = self.start.tree
        if first.seq <= last:
            self.pending = self.start
            self.head = Head(chain, first.seq - 1, (first.prev_hash,))
            return
        self.head = Head(chain, last, (self.start.fields["last_hash"],))
        self.compare(last, chain, self.head.hashes, "")

    def verdict_on(self, removal: Removal) -> bool | None:
        """Whether a known key signed it; ``None`` if the key is not known."""
        fields = removal.fields
        key = self.keys.get(fields["key_id"]) if fields["sig_alg"] == "hmac-sha256" else None
        return None if key is None else signed(key, removal.text, fields["signature"])

    def follow_tiles(self, removal: Removal, chain: str) -> None:
        self.tree = Tree()
        last = removal.last
        for number in range((last + 255) // 256):
            rows = min(256, last - 256 * number)
            data = tile(self.directory, number, rows)
            if data is None:
                self.find("missing-segment", None, "tile")
                break
            for row in range(rows):
                leaf, seq = data[32 * row : 32 * row + 32].hex(), 256 * number + row + 1
                self.tree.add(leaf)
                if seq < last:
                    self.compare(seq, chain, (leaf,), "")
        else:
            if self.tree.peaks != removal.tree.peaks:
                self.find("checkpoint-root-mismatch", last, "tile")
        for one in self.checkpoints:
            one["seen"] |= one["chain"] == chain and one["head_seq"] < last

    def pruned(self, seq: int, chain: str, fields: dict[str, Any]) -> None:
        if type(fields.get("v")) is int and fields["v"] > 1:
            self.find("key-unavailable", seq)
            return
        removal = sound(fields, chain, seq)
        if removal is None or not self.may_stand(removal, seq, chain):
            self.find("checkpoint-signature-mismatch", seq)
            return
        if self.start is None or seq != self.start.seq:
            return
        right = self.verdict_on(removal) is True
        self.start_judged = right or not self.keys
        if self.start_judged:
            self.find("pruned", removal.last + 1)
        if not self.keys:
            self.find("key-unavailable", seq)

    def may_stand(self, removal: Removal, seq: int, chain: str) -> bool:
        fields = removal.fields
        name = (fields["sig_alg"], fields["key_id"])
        if self.verdict_on(removal) is False:
            return False
        if name[0] == "hmac-sha256" and name[1] in self.retired:
            return False
        if not self.has_checkpoints:
            return True
        there = [one for one in self.checkpoints if one["state"] != "forged"]
        covers = any(
            (one["chain"], one["head_seq"], one["root_hash"], one["head_hash"])
            == (chain, fields["size"], fields["root_hash"], fields["head_hash"])
            for one in there
        )
        newest = max((one["head_seq"] for one in there if one["head_seq"] < seq), default=0)
        return covers and any(
            one["head_seq"] == newest and (one["sig_alg"], one["key_id"]) == name for one in there
        )

    # The chain

    def judge(self, line: Linked) -> None:
        if self.doubt is not None:
            kind, about = self.doubt
            self.doubt = None
            if not (self.judge_after_change if kind == "changed" else self.judge_after_hole)(
                line, about
            ):
                return
        if not line.right:
            linked = line.prev_hash in self.head.hashes
            expected = self.head.seq + 1
            self.find("event-hash-mismatch", expected if linked else line.seq, line.place)
            before = self.head
            self.head = Head(before.chain, expected, (line.stated, line.hash))
            self.doubt = ("changed", (before, line))
        elif self.head.followed_by(line):
            self.head = self.head.after(line)
            self.take(line)
        else:
            self.misplaced(line)

    def misplaced(self, line: Linked) -> None:
        if self.head.chain not in (None, line.chain):
            self.find("chain-id-mismatch", line.seq, line.place)
        elif line.seq <= self.head.seq:
            self.find("sequence-duplicate", line.seq, line.place)
        elif line.seq == self.head.seq + 1:
            self.find("event-prev-hash-mismatch", line.seq, line.place)
            self.head = self.head.after(line)
            self.take(line)
        else:
            kind = "missing-segment" if line.first else "sequence-gap"
            self.find(kind, line.seq, line.place)
            before, self.head = self.head, self.head.after(line)
            self.doubt = ("hole", (before, line, None))

    def judge_after_change(self, line: Linked, about: Any) -> bool:
        """Whether ``line`` is still to be judged."""
        before, changed = about
        if line.right and before.followed_by(line):
            self.head = before
        else:
            self.take(changed)
        return True

    def judge_after_hole(self, line: Linked, about: Any) -> bool:
        before, stranger, kept = about
        if kept is None:
            if line.right and before.followed_by(line):
                self.doubt = ("hole", (before, stranger, line))
                return False
            if not line.right and line.prev_hash in before.hashes:
                self.head = before
                return True
            if self.passed_over(line):
                self.misplaced(line)
                self.doubt = ("hole", about)
                return False
            self.confirm(stranger)
            return True
        follows = Head(kept.chain, kept.seq, (kept.hash,))
        put_there = follows.followed_by(line) if line.right else line.prev_hash == kept.hash
        if put_there:
            self.head = before.after(kept)
            self.take(kept)
            return True
        if self.passed_over(line):
            self.misplaced(line)
            self.doubt = ("hole", about)
            return False
        self.find("sequence-duplicate", kept.seq, kept.place)
        self.confirm(stranger)
        return True

    def passed_over(self, line: Linked) -> bool:
        other = self.head.chain not in (None, line.chain)
        return line.right and (other or line.seq <= self.head.seq)

    def confirm(self, stranger: Linked) -> None:
        self.tree.whole = False
        self.pending = None
        self.take(stranger)

    def settle(self) -> None:
        if self.doubt is None:
            return
        kind, about = self.doubt
        self.doubt = None
        if kind == "changed":
            self.take(about[1])
            return
        if about[2] is not None:
            self.find("sequence-duplicate", about[2].seq, about[2].place)
        self.confirm(about[1])

    def take(self, line: Linked) -> None:
        """What is true of a record of the chain that is not in doubt."""
        seq = self.head.seq if not line.right else line.seq
        hashes = (line.hash,) if line.right else (line.stated, line.hash)
        if self.pending is not None:
            if seq == self.pending.last:
                if self.pending.fields["last_hash"] not in hashes:
                    self.find("checkpoint-root-mismatch", seq, line.place)
                self.pending = None
        elif self.tree.whole:
            self.tree.add(line.hash)
        record = parsed(line.line)
        record = record if isinstance(record, dict) else {}
        kind, ts = record.get("event_type"), record.get("ts")
        own = line.line[36:].startswith(b'Z","event_type":"audit.checkpoint"')
        self.records.append((seq, ts if isinstance(ts, str) else "", own))
        if line.right and isinstance(kind, str):
            self.look_inside(record, seq, line.chain, line.place)
        self.compare(seq, line.chain, hashes, self.records[-1][1])

    def look_inside(self, record: Any, seq: int, chain: str, place: str) -> None:
        if not isinstance(record, dict) or not isinstance(record.get("event_type"), str):
            return
        if type(record.get("v")) is not int or record["v"] != 1:
            self.find("unknown-version", seq, place)
        elif isinstance(record.get("fields"), dict):
            self.says(record["event_type"], seq, chain, record["fields"])

    def says(self, kind: str, seq: int, chain: str, fields: dict[str, Any]) -> None:
        if kind == "audit.recovered":
            self.recovered(seq, fields)
        elif kind == "audit.gap":
            lost = fields.get("lost")
            if type(lost) is int and lost > 0 and fields.get("sink") != "stdout":
                self.find("declared-gap", seq)
        elif kind == "audit.checkpoint":
            self.told_checkpoint(chain, fields)
        elif kind == "audit.key_rotated":
            self.rotated(seq, chain, fields)
        elif kind == "audit.pruned":
            self.pruned(seq, chain, fields)
        elif kind == "audit.started":
            every: Any = fields.get("checkpoint_every")
            interval: Any = fields.get("checkpoint_interval")
            number = type(interval) in (int, float)
            if type(every) is int and every >= 1 and number and 0 < interval < 2**32:
                self.policies.append((seq, every, interval))
        elif kind == "audit.legacy":
            length, digest = fields.get("bytes"), fields.get("sha256")
            if type(length) is int and isinstance(digest, str):
                self.legacy.append((seq, length, digest))

    def recovered(self, seq: int, fields: dict[str, Any]) -> None:
        length, digest = fields.get("bytes"), fields.get("sha256")
        if type(length) is not int or not isinstance(digest, str):
            return
        for run in reversed(self.runs):
            count = run.prefix(length, digest)
            if count > run.declared:
                self.declared.append((seq, run.at, run.findings[run.declared : count]))
                run.declared = count
                return
        among_removed = self.start is not None and seq < self.start.last + 16
        found = among_removed or self.kept(fields)
        self.find("recovered-tear" if found else "missing-segment", seq)

    def kept(self, fields: dict[str, Any]) -> bool:
        """Whether the bytes, or all of them but a newline at their end, are in quarantine."""
        quarantine = self.directory / "quarantine"
        if not quarantine.is_dir() or quarantine.is_symlink():
            return False
        for path in quarantine.iterdir():
            if path.name.endswith(".bytes") and stat.S_ISREG(os.lstat(path).st_mode):
                data = path.read_bytes()
                for text in (data, data + b"\n"):
                    digest = hashlib.sha256(text).hexdigest()
                    if (len(text), digest) == (fields["bytes"], fields["sha256"]):
                        return True
        return False

    # Checkpoints

    def read_checkpoints(self) -> None:
        self.checkpoints: list[dict[str, Any]] = []
        path = self.directory / "checkpoints.jsonl"
        self.has_checkpoints = os.path.lexists(path)
        if not self.has_checkpoints:
            return
        if not stat.S_ISREG(os.lstat(path).st_mode):
            self.find("missing-segment", None, path.name)
            return
        *lines, tail = path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, start=1):
            self.read_checkpoint(line, f"{path.name}:{number}")
        if tail:
            self.find("torn-tail", None, path.name)

    def read_checkpoint(self, line: bytes, place: str) -> None:
        found: Any = None if len(line) > LONGEST_CHECKPOINT else parsed(line)
        if isinstance(found, dict) and type(found.get("v")) is int and found["v"] > 2:
            self.find("key-unavailable", None, place)
            return
        if not well_formed(found, line):
            whole = line.endswith(b"}") or len(line) > LONGEST_CHECKPOINT
            self.find("malformed-line" if whole else "torn-tail", None, place)
            return
        assert isinstance(found, dict)
        before = self.before
        if (
            before is not None
            and before["chain"] == found["chain"]
            and (before["head_seq"] > found["head_seq"] or before == found)
        ):
            self.find("sequence-duplicate", found["head_seq"], place)
        else:
            self.before = dict(found)
        found["place"] = place
        found["state"] = self.state_of(found)
        found["seen"] = False
        self.checkpoints.append(found)
        if found["state"] == "forged":
            self.find("checkpoint-signature-mismatch", found["head_seq"], place)

    def state_of(self, checkpoint: dict[str, Any]) -> str:
        last = checkpoint["origin"].rpartition("/")[2]
        if re.fullmatch(r"[0-9a-f]{16}", last) and last != checkpoint["chain"]:
            return "forged"
        if checkpoint["sig_alg"] not in ("ed25519", "hmac-sha256"):
            return "forged"
        key = self.keys.get(checkpoint["key_id"])
        if checkpoint["sig_alg"] == "ed25519" or key is None:
            return "unchecked"
        text = text_of(checkpoint)
        if not signed(key, text, checkpoint["signature"]):
            return "forged"
        if checkpoint["v"] == 2 and seconds_of(key, text, checkpoint) is None:
            return "forged"
        return "good"

    def told_checkpoint(self, chain: str, fields: dict[str, Any]) -> None:
        seq = fields.get("head_seq")
        if type(seq) is not int or not 1 <= seq <= HIGHEST:
            return
        if not self.has_checkpoints:
            self.told.append(seq)
            return
        there = [one for one in self.checkpoints if (one["chain"], one["head_seq"]) == (chain, seq)]
        names = [name for name in ("root_hash", "at", "key_id", "reason") if name in fields]
        if not there:
            self.find("sequence-gap", seq, "checkpoints.jsonl")
        elif not any(all(one[name] == fields[name] for name in names) for one in there):
            self.find("checkpoint-root-mismatch", seq, "checkpoints.jsonl")

    def rotated(self, seq: int, chain: str, fields: dict[str, Any]) -> None:
        two = "size" in fields or "root_hash" in fields
        names = "origin old_alg old_key_id new_alg new_key_id new_key".split()
        names += ["size", "root_hash"] if two else []
        old = str(fields.get("old_key_id"))
        key = self.keys.get(old) if fields.get("old_alg") == "hmac-sha256" else None
        if key is None:
            return
        lines = [
            f"audit_emit change of key, version {1 + two}",
            *(str(fields.get(n)) for n in names),
        ]
        text = "".join(f"{line}\n" for line in lines).encode()
        new = fields.get("new_key_id")
        right = (
            signed(key, text, fields.get("signature"))
            and str(fields.get("origin")).endswith(f"/{chain}")
            and (fields.get("new_alg"), new) != ("hmac-sha256", old)
        )
        if right and (old, new) in self.changes:
            return
        right = right and old not in self.retired and new not in self.retired
        if right and two:
            right = (
                type(fields.get("size")) is int
                and fields["size"] < seq
                and (not self.has_checkpoints or self.holds(chain, fields))
            )
        if not right:
            self.find("checkpoint-signature-mismatch", seq)
            return
        self.changes.add((old, str(new)))
        self.retired[old] = seq
        for one in self.checkpoints:
            by_old = one["sig_alg"] == "hmac-sha256" and one["key_id"] == old
            if by_old and one["head_seq"] >= seq and one["state"] != "forged":
                one["state"] = "forged"
                self.find("checkpoint-signature-mismatch", one["head_seq"], one["place"])

    def holds(self, chain: str, fields: dict[str, Any]) -> bool:
        return any(
            one["chain"] == chain
            and one["head_seq"] == fields["size"]
            and one["root_hash"] == fields.get("root_hash")
            and one["state"] != "forged"
            for one in self.checkpoints
        )

    def compare(self, seq: int, chain: str, hashes: tuple[str, ...], ts: str) -> None:
        for one in self.checkpoints:
            if one["chain"] != chain or one["head_seq"] != seq or one["state"] == "forged":
                continue
            one["seen"] = True
            if self.pending is not None:
                if one["head_hash"] not in hashes:
                    self.find("checkpoint-root-mismatch", seq, one["place"])
            elif one["root_hash"] != self.tree.root() or one["head_hash"] not in hashes:
                self.find("checkpoint-root-mismatch", seq, one["place"])
            elif one["state"] == "good":
                self.covered, self.covered_ts = one, ts

    # The end

    def finish(self) -> None:
        covered = self.covered["head_seq"] if self.covered else 0
        if self.start is not None and not self.start_judged:
            self.find("missing-segment", 1, "tile")
        for seq, at, replaced in self.declared:
            for finding in replaced:
                self.findings.remove(finding)
            near = seq < at + 16 and (not self.keys or covered < at)
            believed = covered >= seq or near
            self.find("recovered-tear" if believed else "malformed-line", seq if believed else at)
        self.finish_legacy(covered)
        if self.told:
            self.find("missing-segment", min(self.told[:1]), "checkpoints.jsonl")
        missing: set[tuple[str, str]] = set()
        for one in self.checkpoints:
            if one["state"] == "unchecked" and (one["sig_alg"], one["key_id"]) not in missing:
                missing.add((one["sig_alg"], one["key_id"]))
                self.find("key-unavailable", one["head_seq"], one["place"])
            if one["state"] == "forged" or one["seen"]:
                continue
            if self.head.chain is not None and one["chain"] != self.head.chain:
                self.find("chain-id-mismatch", one["head_seq"], one["place"])
            elif one["head_seq"] > self.head.seq:
                self.find("truncated", one["head_seq"], one["place"])
            else:  # its last record is among the missing ones
                self.find("checkpoint-root-mismatch", one["head_seq"], one["place"])
        if not self.records:
            self.find("nothing-found", None)
        elif self.keys and not any(kind in TAMPERING for kind, _, _ in self.findings):
            self.anchor()

    def finish_legacy(self, covered: int) -> None:
        data = b"".join(line + b"\n" for line in self.waiting)
        if not self.waiting:
            return
        if not self.records:
            for _ in self.waiting:
                self.find("legacy-record", None)
            return
        for seq, length, digest in self.legacy:
            if (length, digest) != (len(data), hashlib.sha256(data).hexdigest()):
                continue
            if covered >= seq or not self.keys:
                for _ in self.waiting:
                    self.find("legacy-record", None)
                if not self.keys:
                    self.find("key-unavailable", None)
                return
        for _ in self.waiting:
            self.find("malformed-line", 1)

    def anchor(self) -> None:
        if self.covered is None:
            self.find("not-anchored", None)
            return
        at = self.covered["head_seq"]
        policy = [one for one in self.policies if one[0] <= at]
        every, interval = policy[-1][1:] if policy else (10_000, 3600.0)
        tail = [ts for seq, ts, own in self.records if seq > at and not own]
        own = [ts for seq, ts, own in self.records if seq > at and own]
        points = {
            (one["head_seq"], one["sig_alg"], one["key_id"])
            for one in self.checkpoints
            if one["state"] != "forged" and one["head_seq"] >= at
        }
        early, late = text_time(self.as_of, -3), text_time(self.as_of, 3)
        tail_length, own_length = (
            sum(not policy or not early <= ts <= late for ts in each) for each in (tail, own)
        )
        length = tail_length + max(0, own_length - len(points))
        if len(own) > len(points):
            tail += own
        seconds = None
        if self.covered["v"] == 2:
            key = self.keys[self.covered["key_id"]]
            seconds = seconds_of(key, text_of(self.covered), self.covered)
        signed_time = self.covered_ts if seconds is None else text_time(seconds * 10**9, 0)
        limit, to_come = text_time(self.as_of, -interval - 3), text_time(self.as_of, interval + 3)
        old = signed_time < limit and any(ts < limit or ts > to_come for ts in tail)
        if length > every or old:
            self.find("not-anchored", at)


class Removal:
    """A sound ``audit.pruned``: its members, and what follows from them."""

    def __init__(self, fields: dict[str, Any], seq: int, tree: Tree, carried: list[Linked]) -> None:
        self.fields, self.seq, self.tree, self.carried = fields, seq, tree, carried
        self.last: int = fields["last_seq"]
        lines = ["audit_emit removal of records, version 1"]
        lines += [str(fields[name]) for name in REMOVAL[1:11]]
        lines += [*fields["carried"], fields["sig_alg"], fields["key_id"]]
        self.text = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")


def removal_in(line: Linked) -> Removal | None:
    record = parsed(line.line)
    if not isinstance(record, dict) or record.get("event_type") != "audit.pruned":
        return None
    fields = record.get("fields")
    return sound(fields, line.chain, line.seq) if isinstance(fields, dict) else None


def sound(fields: dict[str, Any], chain: str, seq: int) -> Removal | None:
    """The removal that the fields of a record are; ``None`` if they are not sound."""
    numbers = ("v", "first_seq", "last_seq", "records", "size")
    texts = [name for name in REMOVAL if name not in (*numbers, "carried")]
    lines = fields.get("carried")
    if (
        set(fields) != set(REMOVAL)
        or not isinstance(lines, list)
        or len(lines) > 256
        or any(type(fields[name]) is not int for name in numbers)
        or any(not isinstance(one, str) for one in (*lines, *(fields[name] for name in texts)))
        or any("\n" in one for one in (*lines, *(fields[name] for name in texts)))
        or any(not re.fullmatch(FORMS[name], fields[name]) for name in ("root_hash", "head_hash"))
        or not re.fullmatch(FORMS["head_hash"], fields["last_hash"])
        or not re.fullmatch(FORMS["origin"], fields["origin"])
        or not fields["origin"].endswith(f"/{chain}")
    ):
        return None
    first, last = fields["first_seq"], fields["last_seq"]
    right = fields["v"] == 1 and 1 <= first <= last <= fields["size"] < seq
    tree = Tree.of(fields["frontier"])
    if not right or fields["records"] != last - first + 1 or tree is None:
        return None
    if sum(size for size, _ in tree.peaks) != last:
        return None
    carried = []
    before = 0
    for text in lines:
        line = text.encode("utf-8", "surrogatepass")
        match = None if len(line) > LONGEST_LINE else LINKED.search(line)
        linked = Linked(line, match) if match is not None else None
        if linked is None or not linked.right or linked.chain != chain:
            return None
        if not before < linked.seq <= last:
            return None
        carried.append(linked)
        before = linked.seq
    return Removal(fields, seq, tree, carried)


def linked_lines(data: bytes) -> list[Linked]:
    made = []
    for line in data.split(b"\n")[:-1]:
        match = None if len(line) > LONGEST_LINE else LINKED.search(line)
        if match is not None and int(match.group(2)) > 0:
            made.append(Linked(line, match))
    return made


def tile(directory: Path, number: int, rows: int) -> bytes | None:
    """The first hashes of a tile of level 0, from whatever file holds that many of them."""
    groups, rest = [f"{number % 1000:03}"], number // 1000
    while rest:
        groups.insert(0, f"x{rest % 1000:03}")
        rest //= 1000
    path = directory.joinpath("tile", "0", *groups)
    partial = path.with_name(f"{path.name}.p")
    for one in (path, *(partial / str(width) for width in range(rows, 256))):
        if one.is_file() and one.stat().st_size >= 32 * rows:
            return one.read_bytes()
    return None


def parsed(line: bytes) -> Any:
    """The value of a JSON text as RFC 8259 has it, else ``None``."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    try:
        return json.loads(line.decode(), parse_constant=refuse)
    except (ValueError, RecursionError):
        return None


def unpacked(data: bytes) -> bytes:
    if data.startswith(b"\x1f\x8b"):
        return gzip.decompress(data)
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        from backports import zstd

        return bytes(zstd.decompress(data))
    return data


def place_of(name: str, data: bytes) -> tuple[Any, ...]:
    """What files are ordered by."""
    lines = data[:LOOKED_AT].split(b"\n")[:-1]
    matches = [(line, LINKED.search(line)) for line in lines]
    linked = [Linked(line, match) for line, match in matches if match is not None]
    right = [line for line in linked if line.right]
    pairs = pairwise(right)
    first = next((one for one, two in pairs if two.prev_hash == one.hash), None)
    first = first or (right[0] if right else None)
    times = [line[7:37] for line in lines if line.startswith(b'{"ts":"')]
    digits = re.match(r"audit-([0-9]{20})\.jsonl", name)
    if first is not None:
        seq: float = first.seq
    elif times and not any(b'"prev_hash":"' in line for line in lines):
        seq = 0
    else:
        seq = int(digits.group(1)) if digits else float("inf")
    return seq, times[0] if times else b"", name


def well_formed(found: Any, line: bytes) -> bool:
    """Whether a checkpoint has its members, in their order and their one form."""
    if not isinstance(found, dict) or type(found.get("v")) is not int or found["v"] not in (1, 2):
        return False
    names = [*MEMBERS, *(["cosignature"] if found["v"] == 2 else [])]
    if list(found) != names or type(found["head_seq"]) is not int:
        return False
    if not 1 <= found["head_seq"] <= HIGHEST:
        return False
    for name, form in FORMS.items():
        if name in found and not (isinstance(found[name], str) and re.fullmatch(form, found[name])):
            return False
    for name in ("signature", "cosignature"):
        if name in found and decoded(found[name]) is None:
            return False
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode() == line


def decoded(text: Any) -> bytes | None:
    """What base64 says, if it is the only text that says so."""
    if not isinstance(text, str):
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return data if base64.b64encode(data).decode() == text else None


def signed(key: bytes, text: bytes, signature: Any) -> bool:
    made = decoded(signature)
    return made is not None and hmac.compare_digest(hmac.digest(key, text, "sha256"), made)


def text_of(checkpoint: dict[str, Any]) -> bytes:
    root = base64.b64encode(bytes.fromhex(checkpoint["root_hash"])).decode()
    return f"{checkpoint['origin']}\n{checkpoint['head_seq']}\n{root}\n".encode()


def seconds_of(key: bytes, text: bytes, checkpoint: dict[str, Any]) -> int | None:
    """The signed time of a checkpoint, if it is signed and ``at`` says the same second."""
    data = decoded(checkpoint["cosignature"]) or b""
    seconds = int.from_bytes(data[4:12], "big")
    message = b"cosignature/v1\ntime %d\n%b" % (seconds, text)
    right = (
        data[:4].hex() == checkpoint["key_id"]
        and hmac.compare_digest(hmac.digest(key, message, "sha256"), data[12:])
        and text_time(seconds * 10**9, 0)[:19] == checkpoint["at"][:19]
    )
    return seconds if right else None


def text_time(nanoseconds: int, more: float) -> str:
    """A time as records have it, some seconds later."""
    whole, rest = divmod(nanoseconds + round(more * 10**9), 10**9)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=whole)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09}Z"
