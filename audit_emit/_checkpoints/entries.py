"""The records of a log as C2SP tlog-tiles has them: bundles of 256 entries, made from the log.

An entry is the body of a record, the bytes that its hash covers. Nothing keeps bundles: they would
be the log a second time. Each entry is compared with its leaf hash, which comes from a tile.
"""

from __future__ import annotations

from audit_emit._checkpoints.tiles import WIDTH, hashes
from audit_emit._format.chain import body_of, leaf_hash
from audit_emit._format.line_splitter import split_lines
from audit_emit._format.link import link_of
from audit_emit._readers.base import LogReader
from audit_emit._readers.whole_lines import whole_lines_of
from audit_emit.errors import CheckpointError

LONGEST = 0xFFFF
"""The most bytes of an entry, whose length is written in 16 bits."""


def bundle_of(reader: LogReader, number: int, row: bytes) -> bytes:
    """The entry bundle with the records of one tile of level 0.

    Args:
        reader: of the log.
        number: of the tile.
        row: its hashes, or the first of them; the bundle has one entry for each.

    Raises:
        LookupError: a record is not in the log any more, or is too long to be an entry.
        CheckpointError: a record is not the one that was signed.
        OSError: the log cannot be read.
    """
    leaves = hashes(row)
    first = number * WIDTH + 1
    made: list[bytes] = []
    for block in whole_lines_of(reader.blocks(from_seq=first)):
        for line in split_lines(block):
            link = link_of(line)
            seq = first + len(made)
            if link is None or int(link[2]) < seq:
                continue
            if int(link[2]) > seq:  # it was removed; what is left of the log need not be read
                raise LookupError(f"record {seq} is not in the log")
            body = body_of(line)
            if leaf_hash(body) != leaves[len(made)].hex():
                raise CheckpointError("hash-mismatch", f"record {seq} is not the one signed")
            if len(body) > LONGEST:
                raise LookupError(f"record {seq} has more than {LONGEST} bytes, as no entry has")
            made.append(len(body).to_bytes(2, "big") + body)
            if len(made) == len(leaves):
                return b"".join(made)
    raise LookupError(f"record {first + len(made)} is not in the log")
