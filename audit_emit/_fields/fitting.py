"""The last limit of a record: what is longer than an entry of a log may be is cut here.

The limits of ``Walk`` keep fields far below this one. What they do not count is what is told about
the fields: which rules held something back where, and what processors had cut before.
"""

from __future__ import annotations

from typing import Any

from audit_emit._format.encode import to_json

LONGEST = 58 * 1024
"""Bytes of the fields as JSON. With all other members at their longest, the body of a record has
less than 65,535 then, with room for what a schema says: so long may an entry of tlog-tiles be."""

_TOLD = ("_redacted", "_cut", "_racy")
_MORE = "…"


def fitted(value: dict[str, Any], most: int = LONGEST) -> tuple[dict[str, Any], int]:
    """The same fields, shorter where they are too long: first what is told about them.

    Args:
        value: plain.
        most: bytes as JSON.

    Returns:
        The fields, and how many members were cut; ``_cut`` names them.
    """
    cut: list[str] = []
    made = dict(value)
    for name in (*_TOLD, *reversed([name for name in value if name not in _TOLD])):
        over = len(to_json(made).encode()) - most
        if over <= 0:
            break
        if name in _TOLD and not isinstance(made.get(name), list):
            continue
        cut.append(name)
        if name in _TOLD:
            made[name] = _shorter(made[name], over)
        else:
            del made[name]
            made["_cut"] = [*made.get("_cut", []), name]
    return made, len(cut)


def _shorter(entries: list[Any], over: int) -> list[Any]:
    """A list without its last entries, which ``…`` stands for."""
    kept = list(entries)
    over += len(to_json(_MORE).encode()) + 1
    while kept and over > 0:
        over -= len(to_json(kept.pop()).encode()) + 1
    return [*kept, _MORE]
