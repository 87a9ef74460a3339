"""Checkpoints that are many, of one size, or in no order: the same findings, in bounded memory."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.chain_builder import BEGIN, MadeChain
from support.counted_calls import calls_of
from support.for_each import for_each
from support.peak_memory import peak
from support.verifier_comparison import ORIGIN, SECRET, both, kinds

from audit_emit._checkpoints.checkpointer import checkpoint_fields
from audit_emit._format.chain import Frontier
from audit_emit._format.checkpoint import Checkpoint, sign
from audit_emit._format.record import head_of, ts_of
from audit_emit._signing.trusted_keys import HmacKey
from audit_emit._verify.verify import Options, verify_paths


class Signed:
    """A chain that is signed, and says so, after each of its first records."""

    def __init__(self) -> None:
        self.chain = MadeChain()
        self.made: list[Checkpoint] = []
        self._tree = Frontier()

    def sign(self, at: int = BEGIN, *, declare: bool = True, key: bytes = SECRET) -> Checkpoint:
        """One more checkpoint over all that is there."""
        for line in self.chain.lines[self._tree.size :]:
            head = head_of(line)
            assert head is not None
            self._tree.append(bytes.fromhex(head.hash))
        made = sign(
            HmacKey(key),
            at=ts_of(at),
            origin=f"{ORIGIN}/{self.chain.chain}",
            chain=self.chain.chain,
            size=self._tree.size,
            head_hash=self._head(),
            root=self._tree.root(),
            reason="manual",
        )
        self.made.append(made)
        if declare:
            self.chain.add(event_type="audit.checkpoint", fields=checkpoint_fields(made))
        return made

    def _head(self) -> str:
        head = head_of(self.chain.lines[-1])
        assert head is not None
        return head.hash

    def write(self, directory: Path, order: Callable[[list[bytes]], None]) -> None:
        lines = [made.to_line() for made in self.made]
        order(lines)
        self.chain.write(directory / "audit.jsonl")
        (directory / "checkpoints.jsonl").write_bytes(b"".join(lines))


ORDERS: dict[str, Callable[[list[bytes]], None]] = {
    "as signed": lambda _: None,
    "backwards": lambda lines: lines.reverse(),
    "shuffled": lambda lines: random.Random(1).shuffle(lines),
    "twice": lambda lines: lines.extend(list(lines)),
    "without some": lambda lines: lines.__delitem__(slice(3, 30)),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("key", [SECRET, None], ids=["with the key", "without"])
def test_all_verifiers_find_the_same_in_any_order(
    tmp_path: Path, order: Callable[[list[bytes]], None], key: bytes | None
) -> None:
    signed = Signed()
    signed.chain.add(2)
    for _ in range(40):
        signed.sign()
    signed.write(tmp_path, order)
    both(tmp_path, key=key, as_of=BEGIN)


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_all_verifiers_find_the_same_among_many_of_one_size(
    tmp_path: Path, order: Callable[[list[bytes]], None]
) -> None:
    signed = Signed()
    signed.chain.add(2)
    made = [signed.sign(BEGIN + number, declare=False) for number in range(40)]
    for one in made[::-1]:
        signed.chain.add(event_type="audit.checkpoint", fields=checkpoint_fields(one))
    changed = {**checkpoint_fields(made[0]), "at": ts_of(BEGIN + 99)}
    some = {name: changed[name] for name in ("head_seq", "root_hash")}
    for fields in (changed, some, {**some, "root_hash": 5}, {**some, "root_hash": "0" * 64}):
        signed.chain.add(event_type="audit.checkpoint", fields=fields)
    signed.write(tmp_path, order)
    found = kinds(both(tmp_path, as_of=BEGIN))
    assert len(found["checkpoint-root-mismatch"]) >= 3


def test_keys_that_nobody_has_are_each_told_once(tmp_path: Path) -> None:
    signed = Signed()
    signed.chain.add(2)
    for number in range(50):
        signed.sign(key=bytes([number % 25]) * 32)
    signed.write(tmp_path, ORDERS["shuffled"])
    report = both(tmp_path, key=None, as_of=BEGIN)
    assert len(kinds(report)["key-unavailable"]) == 25


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
@pytest.mark.parametrize("kind", ["in order", "shuffled", "of one size"])
@pytest.mark.untraced
def test_any_number_of_checkpoints_takes_the_same_memory(tmp_path: Path, kind: str) -> None:
    signed = Signed()
    signed.chain.add(2)
    line = signed.sign(declare=False).to_line()
    old = line[7:44]
    count = 100_000
    sizes = [2] * count if kind == "of one size" else list(range(3, count + 3))
    if kind == "shuffled":
        random.Random(1).shuffle(sizes)
    with (tmp_path / "checkpoints.jsonl").open("wb") as file:
        for number, size in enumerate(sizes):
            at = b'"at":"2026-05-19T20:00:00.%09dZ"' % number
            file.write(line.replace(b'"head_seq":2', b'"head_seq":%d' % size).replace(old, at))
    signed.chain.write(tmp_path / "audit.jsonl")
    status = 4 if kind == "of one size" else 1
    memory, _ = peak(tmp_path, "--jobs", "1", str(tmp_path), status=status)
    assert memory < 48, "megabytes, of which the interpreter and the modules have thirty"


FOREIGN = [
    b"\n",
    b"x\n",
    b"}\n",
    b"{\n",
    b"{}\n",
    b'{"v":3}\n',
    b'{"\\u0076":3}\n',
    b' { "v" : 3 }\n',
    b'{"v":3} }\n',
    b"[3]\n}\n",
]


@pytest.mark.parametrize("line", FOREIGN)
def test_foreign_lines_are_each_a_finding_in_all_verifiers(tmp_path: Path, line: bytes) -> None:
    signed = Signed()
    signed.chain.add(2)
    good = signed.sign().to_line()
    signed.write(tmp_path, lambda lines: lines.extend([line * 5, good[:50] + b"\n", line * 2]))
    both(tmp_path, as_of=BEGIN)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
@pytest.mark.parametrize("line", [b"\n", b"{\n", b"{}\n", b'""\n'])
def test_many_short_lines_take_no_memory(tmp_path: Path, line: bytes) -> None:
    MadeChain().add(3).write(tmp_path / "audit.jsonl")
    (tmp_path / "checkpoints.jsonl").write_bytes(line * (8_000_000 // len(line)))
    memory, _ = peak(tmp_path, "--jobs", "1", str(tmp_path), status=4 - 3 * line.endswith(b"}\n"))
    assert memory < 48


@for_each("line", [b"\n", b"{\n", b"{}\n", b'""\n'])
def test_many_short_lines_are_read_in_blocks(tmp_path: Path, line: bytes) -> None:
    MadeChain().add(3).write(tmp_path / "audit.jsonl")

    def calls(count: int) -> int:
        (tmp_path / "checkpoints.jsonl").write_bytes(line * count)
        return calls_of(lambda: verify_paths([str(tmp_path)], Options(jobs=1)))

    fewer, more = calls(10_000), calls(40_000)
    assert more - fewer < 30_000 / 10, (fewer, more)
