"""The receipt of a record as one word, for an HTTP header or a command line. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from audit_emit._format.record import Receipt

_TEXT = re.compile(r"([0-9a-f]{16}):([1-9][0-9]{0,18}):([0-9a-f]{64})")


class Claim(NamedTuple):
    """The claim of a receipt: the chain has a record with this ``seq`` and this hash, in hex."""

    chain: str
    seq: int
    hash: str


def receipt_text(receipt: Receipt) -> str:
    """``<chain>:<seq>:<hash>``."""
    return f"{receipt.chain}:{receipt.seq}:{receipt.hash}"


def parse_receipt(text: str) -> Claim | None:
    """Read what ``receipt_text`` made; ``None`` when it is something else."""
    found = _TEXT.fullmatch(text)
    return None if found is None else Claim(found[1], int(found[2]), found[3])
