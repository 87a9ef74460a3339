"""Blocks of records that are proved at once: of the tree alone as with all that they say."""

from __future__ import annotations

import pytest
from support.chain_builder import MadeChain

from audit_emit._format import block
from audit_emit._runtime import compiled

DATA = b"".join(line + b"\n" for line in MadeChain().add(20).lines)


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
    assert list(links.hashes) == list(whole.hashes)
    assert (links.marks[-1].seq, links.marks[-1].hash) == (20, whole.hashes[-1])


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
