from __future__ import annotations

import json

import pytest
from five_records import EXPECTED, LINES, PATH
from logfile import chain_ok

from audit_emit.chain import ZERO, body_of, leaf_hash, merkle_root, node_hash

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


@pytest.mark.parametrize("size", range(1, 70))
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
