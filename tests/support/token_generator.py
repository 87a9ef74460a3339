"""Tokens made at random from facts about their formats (``formats.txt``)."""

from __future__ import annotations

import re
import string
from pathlib import Path
from random import Random

__all__ = ["FORMATS", "tokens"]

_ALNUM = string.ascii_letters + string.digits
_ALPHABETS = {
    "digit": string.digits,
    "hex": string.digits + "abcdef",
    "HEX": string.digits + "abcdefABCDEF",
    "lower": string.digits + string.ascii_lowercase,
    "upper": string.digits + string.ascii_uppercase,
    "alnum": _ALNUM,
    "word": _ALNUM + "_-",
    "path": _ALNUM + "_-/",
    "padded": _ALNUM + "_-.=",
    "base64": _ALNUM + "+/",
    "base58": re.sub("[0OIl]", "", _ALNUM),
    "token": _ALNUM + "%+/-_=.~",
}
_PART = re.compile(r"\{(\w+):([0-9]+)(?:-([0-9]+))?\}")

FORMATS = tuple(
    line
    for line in (Path(__file__).parents[1] / "redaction/formats.txt").read_text().splitlines()
    if line and not line.startswith("#")
)


def tokens(layout: str, count: int) -> list[str]:
    """Tokens of a format, the same ones each time.

    As with real ones, what is drawn from letters and digits begins and ends with one of them.
    """
    random = Random(layout)
    return [_PART.sub(lambda part: _drawn(part, random), layout) for _ in range(count)]


def _drawn(part: re.Match[str], random: Random) -> str:
    alphabet = _ALPHABETS[part[1]]
    least = int(part[2])
    length = random.randint(least, int(part[3] or least))
    inner = "".join(random.choices(alphabet, k=length))
    plain = [char for char in alphabet if char.isalnum()]
    ends = random.choices(plain, k=2)
    return "" if not inner else ends[0] + inner[1:-1] + (ends[1] if length > 1 else "")
