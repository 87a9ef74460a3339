"""Manifests of an archive: what is none, whoever wrote it, and whatever it is to lead to."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.chain_builder import MadeChain

from audit_emit._archive.covers import Covered
from audit_emit._archive.describing import Read, described, idle_after
from audit_emit._checkpoints.new_leaves import GrowingTree, Position
from audit_emit._format.chain import ZERO
from audit_emit._format.checkpoint import sign
from audit_emit._format.manifest import MOST_MOVED, Manifest, Packed, object_name
from audit_emit._signing.trusted_keys import Ed25519Key

KEY = Ed25519Key.from_seed(b"\7" * 32)
AT = "2026-05-19T20:00:00.000000000Z"
LATER = "2026-05-20T20:00:00.000000000Z"


def manifest(count: int = 20) -> Manifest:
    """The one of the first records of a chain."""
    tree = GrowingTree(Position.genesis())
    tree.feed(b"".join(line + b"\n" for line in MadeChain().add(count).lines), 0)
    position = tree.position
    checkpoint = sign(
        KEY,
        at=AT,
        origin=f"audit.example/shop/{position.chain}",
        chain=position.chain,
        size=count,
        head_hash=position.head,
        root=position.frontier.root(),
        reason="manual",
    )
    read = Read("shop", ZERO, position, (AT, AT))
    made = described(KEY, AT, None, Position.genesis(), read, Covered([], checkpoint))
    part = Packed(object_name(1, count, "jsonl", "zst"), "", 100, "0" * 64, 10, "1" * 64)
    return msgspec.structs.replace(made, records=part).signed(KEY)


def refused(one: Manifest) -> bool:
    """Whether its bytes, signed by the true key, are no manifest in its own place."""
    data = one.signed(KEY).to_bytes()
    try:
        Manifest.from_bytes(data, one.key)
    except ValueError:
        return True
    return False


def test_it_comes_back_as_it_was() -> None:
    made = manifest()
    assert Manifest.from_bytes(made.to_bytes(), made.key) == made
    idle = idle_after(made, LATER).signed(KEY)
    assert Manifest.from_bytes(idle.to_bytes(), idle.key) == idle
    again = idle_after(idle, LATER).signed(KEY)
    assert (again.idle, again.first_seq, again.last_seq) == (1, 21, 20)
    assert Manifest.from_bytes(again.to_bytes(), again.key) == again
    with pytest.raises(ValueError, match="another place"):
        Manifest.from_bytes(again.to_bytes(), idle.key)


PART = manifest().object
MOVED = Packed(f"{'2' * 64}.bytes.zst", "", 5, "2" * 64, 5, "3" * 64)

IMPOSSIBLE: list[dict[str, Any]] = [
    {"service": ".."},
    {"service": "../../etc"},
    {"service": "shop/../till"},
    {"service": ""},
    {"chain": ".."},
    {"chain": "0123456789abcdeF"},
    {"first_seq": 0},
    {"first_seq": -1},
    {"first_seq": 2},
    {"last_seq": 2**63},
    {"idle": -1},
    {"idle": 10**6},
    {"v": 2},
    {"previous": "../x"},
    {"base": "19 " + "0" * 64},
    {"base": "x"},
    {"low_ts": "\x1b[31m"},
    {"seal": "{}"},
    {"covering": ""},
    *(
        {"records": msgspec.structs.replace(PART, **{name: value})}
        for name, value in [
            ("name", "../../../etc/cron.d/x"),
            ("name", "/etc/passwd"),
            ("name", f"{PART.name}\n"),
            ("name", object_name(1, 21, "jsonl", "zst")),
            ("name", object_name(1, 20, "jsonl", "exe")),
            ("name", object_name(1, 20, "checkpoints", "zst")),
            ("name", MOVED.name),
            ("size", -1),
            ("packed_size", -1),
            ("sha256", "0" * 63),
            ("version", "v" * 1025),
        ]
    ),
    {"moved": (msgspec.structs.replace(MOVED, name=f"{'4' * 64}.bytes.zst"),)},
    {"moved": (PART,)},
    {"moved": (MOVED,) * (MOST_MOVED + 1)},
    {"records": None},
]


def test_what_cannot_be_is_none_although_the_key_signed_it() -> None:
    made = manifest()
    assert not refused(msgspec.structs.replace(made, moved=(MOVED,)))
    taken = [one for one in IMPOSSIBLE if not refused(msgspec.structs.replace(made, **one))]
    assert taken == []


def test_a_day_without_records_has_no_object() -> None:
    idle = idle_after(manifest(), LATER)
    assert not refused(idle)
    for change in ({"records": PART}, {"moved": (MOVED,)}, {"previous": ""}, {"last_seq": 19}):
        assert refused(msgspec.structs.replace(idle, **change))


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 60_000, b" " * 70_000, b"\xff\xfe"], ids=len)
def test_what_is_no_manifest_at_all(data: bytes) -> None:
    with pytest.raises(ValueError, match="manifest"):
        Manifest.from_bytes(data)
