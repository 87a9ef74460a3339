from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import merkle_rfc6962
from support.five_records import EXPECTED, LINES, PATH
from support.for_each import for_each
from support.plain_log_reader import chain_ok

from audit_emit._format.chain import ZERO, Frontier, body_of, leaf_hash, merkle_root, node_hash

LEAVES = [bytes.fromhex(digest) for digest in EXPECTED["leaf_hashes"]]


@pytest.mark.parametrize("index", range(5))
def test_leaf_hash_of_each_vector(index: int) -> None:
    assert leaf_hash(body_of(LINES[index])) == EXPECTED["leaf_hashes"][index]


@pytest.mark.parametrize("index", range(5))
def test_leaf_hash_is_the_hash_in_the_line(index: int) -> None:
    assert json.loads(LINES[index])["hash"] == leaf_hash(body_of(LINES[index]))


def test_the_vectors_link() -> None:
    hashes = [ZERO, *EXPECTED["leaf_hashes"]]
    assert [json.loads(line)["prev_hash"] for line in LINES] == hashes[:-1]


def test_the_reader_of_these_tests_agrees_with_the_vectors() -> None:
    found = chain_ok(PATH)
    assert [record["hash"] for record in found] == EXPECTED["leaf_hashes"]


@pytest.mark.parametrize("size", range(6))
def test_merkle_root_of_each_size(size: int) -> None:
    assert merkle_root(LEAVES[:size]).hex() == EXPECTED["merkle_roots_by_size"][str(size)]


def split_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(split_root(leaves[:k]), split_root(leaves[k:]))


@for_each("size", range(1, 70))
def test_merkle_root_splits_as_the_rfc_says(size: int) -> None:
    leaves = [bytes.fromhex(leaf_hash(b"%d" % number)) for number in range(size)]
    assert merkle_root(leaves) == split_root(leaves)


def test_merkle_root_leaves_its_argument_alone() -> None:
    leaves = list(LEAVES)
    merkle_root(leaves)
    assert leaves == LEAVES


def test_a_leaf_is_never_a_node() -> None:
    assert leaf_hash(LEAVES[0] + LEAVES[1]) != node_hash(LEAVES[0], LEAVES[1]).hex()


def test_body_is_the_same_with_and_without_newline() -> None:
    assert body_of(LINES[0]) == body_of(LINES[0].rstrip(b"\n"))


def test_body_is_json_without_hash() -> None:
    whole = json.loads(LINES[2])
    del whole["hash"]
    assert json.loads(body_of(LINES[2])) == whole


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{}",
        b'"hash":"' + b"0" * 64 + b'"}',
        LINES[0][:-1] + b" \n",
        LINES[0][:-3] + b'"\n',
        LINES[0].replace(b',"hash":"', b',"hasH":"'),
        LINES[0].removesuffix(b'"}\n') + b'0"}\n',
        b"audit: " + b"x" * 100,
    ],
)
def test_what_does_not_end_in_a_hash_has_no_body(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a chained record"):
        body_of(line)


@given(size=st.integers(0, 600))
def test_a_frontier_has_the_root_of_its_leaves(size: int) -> None:
    leaves = merkle_rfc6962.numbered(size)
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    assert frontier.size == size
    assert frontier.root() == merkle_root(leaves)


@given(size=st.integers(0, 600), more=st.integers(0, 70))
def test_a_frontier_goes_on_from_its_text(size: int, more: int) -> None:
    leaves = merkle_rfc6962.numbered(size + more)
    frontier = Frontier()
    for leaf in leaves[:size]:
        frontier.append(leaf)
    text = frontier.to_text()
    again = Frontier.from_text(text)
    assert again.to_text() == text
    for leaf in leaves[size:]:
        again.append(leaf)
    assert again.root() == merkle_root(leaves)
    assert frontier.to_text() == text


def test_the_text_of_the_vectors_frontier() -> None:
    frontier = Frontier()
    for leaf in LEAVES:
        frontier.append(leaf)
    assert frontier.to_text() == (
        f"5 {EXPECTED['merkle_roots_by_size']['4']} {EXPECTED['leaf_hashes'][4]}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "-1",
        "01 " + "0" * 64,
        "0 " + "0" * 64,
        "3 " + "0" * 64,
        "1 " + "0" * 63,
        "1 " + "0" * 65,
        "1 " + "A" * 64,
        "1  " + "0" * 64,
        "1 " + "0" * 64 + "\n",
        "\u0661 " + "0" * 64,
        "9" * 5000,
    ],
)
def test_what_is_no_frontier_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="frontier"):
        Frontier.from_text(text)


def test_a_copy_of_a_frontier_grows_alone() -> None:
    frontier = Frontier()
    frontier.append(LEAVES[0])
    copy = frontier.copy()
    copy.append(LEAVES[1])
    assert (frontier.size, copy.size) == (1, 2)
    assert frontier.root() == LEAVES[0]
