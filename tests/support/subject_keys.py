"""What tests of sealed values share: opening what stands in a record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from audit_emit._subjects.sealed import SubjectKey, pointer_to, sealed_in
from audit_emit._subjects.slots import SlotFile


def opened(line: bytes | str, keys: Path) -> dict[str, Any]:
    """The values that are sealed in a record, by their pointers, as far as the keys open them."""
    record = json.loads(line)
    store = SlotFile(str(keys))
    known = {one.sha256[:16]: SubjectKey(one.key) for one in store.all() if one.key is not None}
    store.close()
    found = {}
    for steps, text in sealed_in(record["fields"]):
        key = known.get(text.split(":")[1])
        pointer = pointer_to(*steps)
        plain = None if key is None else key.open(text, record["id"], pointer)
        found[pointer] = None if plain is None else json.loads(plain)
    return found


def last(log: Path) -> bytes:
    """The newest line of a log."""
    return log.read_bytes().splitlines()[-1]
