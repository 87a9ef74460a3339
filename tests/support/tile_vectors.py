"""Golden vectors of C2SP tlog-tiles, made by another way than the library's.

``python tests/support/tile_vectors.py`` writes ``tests/vectors/tiles.json`` anew.
"""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from pathlib import Path

from support import merkle_rfc6962

WHERE = Path(__file__).parents[1] / "vectors" / "tiles.json"
SIZE = 70_000
FIVE = Path(__file__).parents[1] / "vectors" / "five-records.jsonl"


def tile(level: int, number: int, width: int = 256) -> bytes:
    """A tile over the leaves that ``merkle_rfc6962.numbered`` gives."""
    leaves, below = merkle_rfc6962.numbered(SIZE), 256**level
    first = number * 256
    return b"".join(
        merkle_rfc6962.root(leaves[index * below : (index + 1) * below])
        for index in range(first, first + width)
    )


TILES = {
    "tile/0/000": (0, 0, 256),
    "tile/0/272": (0, 272, 256),
    "tile/0/273.p/112": (0, 273, 112),
    "tile/1/000": (1, 0, 256),
    "tile/1/001.p/17": (1, 1, 17),
    "tile/2/000.p/1": (2, 0, 1),
}
"""Those that C2SP tlog-tiles names for a tree of 70,000, and some of the full ones."""


def made() -> dict[str, object]:
    """What the file holds."""
    lines = FIVE.read_bytes().splitlines()
    # The member hash is the last one: 8 characters, 64 digits, a quote.
    bodies = [line[: -(9 + 64 + 2)] + b"}" for line in lines]
    bundle = b"".join(len(body).to_bytes(2, "big") + body for body in bodies)
    leaves = [sha256(b"\0" + body).digest() for body in bodies]
    return {
        "size": SIZE,
        "root": merkle_rfc6962.root(merkle_rfc6962.numbered(SIZE)).hex(),
        "sha256": {path: sha256(tile(*which)).hexdigest() for path, which in TILES.items()},
        "five_records": {
            "tile/0/000.p/5": base64.b64encode(b"".join(leaves)).decode(),
            "tile/entries/000.p/5": base64.b64encode(bundle).decode(),
        },
    }


if __name__ == "__main__":
    WHERE.write_text(json.dumps(made(), indent=1) + "\n")
