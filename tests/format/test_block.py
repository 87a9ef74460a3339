"""Blocks of records that are proved at once: of the tree alone as with all that they say."""

from __future__ import annotations

import hashlib
from random import Random

import pytest
from support.chain_builder import MadeChain

from audit_emit._format import block
from audit_emit._format.chain import ZERO
from audit_emit._runtime import compiled

DATA = b"".join(line + b"\n" for line in MadeChain().add(20).lines)
CHAIN = "0123456789abcdef"
ASKED = (36, b'Z","event_type":"', b"audit.")


@pytest.fixture(params=["compiled", "interpreted"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way in which a block is hashed."""
    used = compiled.linked if request.param == "compiled" else None
    monkeypatch.setattr(block, "linked", used)


@pytest.mark.usefixtures("way")
def test_the_links_alone_are_those_of_the_whole_proof() -> None:
    whole, links = block.prove(DATA, leaves=True), block.prove_links(DATA)
    assert whole is not None
    assert links is not None
    assert links[:4] == whole[:4]
    assert links.hashes == whole.hashes
    assert (links.marks[-1].seq, links.marks[-1].hash) == (20, whole.hashes[-32:].hex())


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    "broken",
    [
        lambda data: data.replace(b'"seq":7,', b'"seq":8,'),
        lambda data: data[:-1],
        lambda data: b"x\n" + data,
        lambda data: data + b"x\n",
        lambda data: b"".join(data.splitlines(keepends=True)[::2]),
        lambda _: b"\n",
    ],
)
def test_what_does_not_follow_proves_nothing(broken: object) -> None:
    assert callable(broken)
    assert block.prove_links(broken(DATA)) is None


def rows(random: Random, first: int, before: str) -> list[bytes]:
    """Records of any length, a text of any characters in each, that are a piece of a chain."""
    made = []
    for seq in range(first, first + random.randrange(1, 9)):
        ts = f"{random.randrange(10**4):04}-05-19T20:00:00.{random.randrange(10**9):09}Z"
        kind = random.choice(["secret.set", "audit.gap", "audi", "ünü", ""])
        text = "".join(chr(random.choice([32, 65, 228, 8364, 128512])) for _ in range(seq % 40))
        size = random.choice([0, 1, 50, 63, 64, 200, random.randrange(900), 5000])
        start = f'{{"ts":"{ts}","event_type":"{kind}","fields":{{"{text}":"{"x" * size}"}},"v":1'
        body = f'{start},"chain":"{CHAIN}","seq":{seq},"prev_hash":"{before}"'.encode()
        before = hashlib.sha256(b"\0" + body + b"}").hexdigest()
        made.append(b'%b,"hash":"%b"}' % (body, before.encode()))
    return made


def damaged(random: Random, lines: list[bytes]) -> bytes:
    """A block of them in which one thing is otherwise, or nothing is."""
    at = random.randrange(len(lines))
    line = lines[at]
    place = random.randrange(len(line))
    other = [
        [line],
        [line[:place] + bytes([line[place] ^ 1 << random.randrange(8)]) + line[place + 1 :]],
        [line[:place] + line[place + 1 :]],
        [line[:place]],
        [line[place:]],
        [line, b""],
        [line, line],
        [b"\xff\x00" * random.randrange(200)],
        [],
    ]
    if random.randrange(2):
        lines = lines[:at] + random.choice(other) + lines[at + 1 :]
    return b"".join(each + b"\n" for each in lines)[: -1 if random.randrange(20) == 0 else None]


@pytest.mark.skipif(compiled.linked is None, reason="the compiled part is not used here")
def test_the_compiled_part_finds_what_python_finds() -> None:
    assert compiled.linked is not None
    random, proved = Random(15), 0
    for _ in range(3000):
        first = random.choice([1, 8, 9, 99_995, 10**18, 10**19 - 4, 10**19])
        before = random.choice([ZERO, "e" * 64])
        lines = rows(random, first, before)
        data = damaged(random, lines) or b"\n"
        for place, alike, mark in (ASKED, (0, b"", b"")):
            asked = (data, CHAIN, first, before, place, alike, mark)
            found = compiled.linked(*asked)
            assert found == block._linked(*asked), data
            proved += found is not None
    assert proved > 1000
