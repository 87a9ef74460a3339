"""Policies of logs and witnesses, as C2SP tlog-policy has them."""

from __future__ import annotations

import pytest
from support.witnesses import KEYS, PAIR

from audit_emit._format.policy import Policy

LOG = PAIR.to_vkey("log.example/shop/0123456789abcdef")
W = [key.to_vkey() for key in KEYS]
TEXT = f"""# ours
log {LOG} https://log.example
witness\tX1   {W[0]}
  witness X2 {W[1]} https://w2.example/w
group X any X1 X2
witness Y {W[2]}

group both all X Y
quorum both
"""


def test_the_quorum_is_worked_out_through_groups() -> None:
    policy = Policy.parse(TEXT.encode())
    assert [key.name for key in policy.logs] == ["log.example/shop/0123456789abcdef"]
    assert policy.witnesses["X2"].url == "https://w2.example/w"
    assert policy.holds({"X1", "Y"})
    assert policy.holds({"X1", "X2", "Y"})
    assert not policy.holds({"X1", "X2"})
    assert not policy.holds({"Y", "both", "X"}), "only witnesses sign"


@pytest.mark.parametrize(
    ("many", "signed", "holds"), [("2", 2, True), ("2", 1, False), ("1", 1, True)]
)
def test_a_threshold(many: str, signed: int, holds: bool) -> None:
    lines = [f"witness w{n} {key}" for n, key in enumerate(W)]
    text = "\n".join([*lines, f"group g {many} w0 w1 w2", "quorum g", ""])
    assert Policy.parse(text.encode()).holds({f"w{n}" for n in range(signed)}) is holds


def test_no_witness_may_be_enough() -> None:
    assert Policy.parse(b"quorum none\n").holds(())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has none"),
        ("quorum none\nquorum none\n", "one quorum"),
        ("quorum X\n", "not defined before"),
        (f"witness none {W[0]}\nquorum none\n", "taken"),
        (f"witness a {W[0]}\nwitness a {W[1]}\nquorum a\n", "taken"),
        (f"witness a {W[0]}\nwitness b {W[0]}\nquorum a\n", "named twice"),
        (f"log {LOG}\nlog {LOG}\nquorum none\n", "named twice"),
        (f"witness a {W[0]}\ngroup g 2 a\nquorum g\n", "of 1 members"),
        (f"witness a {W[0]}\ngroup g 0 a\nquorum g\n", "of 1 members"),
        (f"witness a {W[0]}\ngroup g 01 a\nquorum g\n", "of 1 members"),
        (f"witness a {W[0]}\ngroup g any a\ngroup h any a\nquorum g\n", "member already"),
        (f"witness a {W[0]}\ngroup g any b\nquorum g\n", "not defined before"),
        (f"witness a {LOG}\nquorum a\n", "key of a log"),
        (f"log {W[0]}\nquorum none\n", "not the verifier key"),
        ("witnes a b\nquorum none\n", "line 1"),
        ("quorum none\r\n", "control characters"),
        (f"witness a {W[0]} u v\nquorum a\n", "line 1"),
    ],
)
def test_what_is_no_policy_is_told_with_its_line(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Policy.parse(text.encode())


def test_names_are_octets_and_comments_may_be_anything() -> None:
    text = "# \u212a\nwitness \u212a ".encode() + W[0].encode() + b"\nwitness K " + W[1].encode()
    policy = Policy.parse(text + "\nquorum \u212a\n".encode())
    assert len(policy.witnesses) == 2
    assert not policy.holds({"K"})


def test_keys_alone_make_one() -> None:
    assert Policy.of_keys(KEYS, 2).demand == "2 of 3 witnesses"
    assert Policy.of_keys(KEYS).groups["all"].least == 3
    for quorum in (0, 4):
        with pytest.raises(ValueError, match="not one of 3"):
            Policy.of_keys(KEYS, quorum)
