"""Which witnesses and anchors have checkpoints of a log, as the files beside the log say.

The owner of the log cannot change those copies. Nothing is verified here: ``audit-emit verify``
does that, with the keys of witnesses and the kept checkpoints that its user gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from audit_emit._facade.anchors import Anchors, standing_of
from audit_emit._facade.records import ts_of
from audit_emit._facade.settings import is_archive
from audit_emit._facade.witnesses import Attempt, Kept, finding_of, signer_directory
from audit_emit.console.source import Source


class Keeper(NamedTuple):
    """A witness, or a place where checkpoints are brought.

    Attributes:
        kind: ``witness`` or ``anchor``.
        name: of the witness, or the address of the place.
        seq: of the last record that its newest checkpoint covers; 0 without one.
        at: when it got that; empty without one.
        note: what went wrong; empty for nothing.
        bad: it has a checkpoint of another history of this log.
    """

    kind: str
    name: str
    seq: int
    at: str
    note: str
    bad: bool


class Outside(NamedTuple):
    """The checkpoints of a log that others have.

    Attributes:
        unnoticed: what the owner of the log and its key could do without being noticed.
        keepers: who has a checkpoint, witnesses first.
        standing: the same as ``audit-emit status`` has it.
    """

    unnoticed: str
    keepers: Sequence[Keeper]
    standing: dict[str, Any]


def outside_of(source: Source) -> Outside | None:
    """Who else has checkpoints of a log; ``None`` where no directory of it is known here.

    Raises:
        OSError: the log cannot be read.
    """
    if is_archive(source.where):
        return None
    with source.reader() as reader:
        directory = signer_directory(reader)
    if not directory:
        return None
    standing = standing_of(directory)
    return Outside(
        standing["unnoticed"], [*_witnesses(Kept(directory)), *_anchors(directory)], standing
    )


def _witnesses(kept: Kept) -> list[Keeper]:
    try:
        policy = kept.policy()
    except (OSError, ValueError):
        return []  # the findings of the standing say so
    attempts = kept.attempts()
    found = []
    for one in policy.witnesses.values() if policy is not None else ():
        last = attempts.get(one.key.key_id, Attempt("not asked yet", 0))
        note = finding_of(last) if last.is_finding else last.note or _not_yet(last)
        found.append(
            Keeper("witness", one.key.name, last.cosigned_size, _time(last.cosigned_at), note,
                   last.is_finding)
        )  # fmt: skip
    return found


def _not_yet(last: Attempt) -> str:
    return "" if last.cosigned_size else last.state


def _anchors(directory: str) -> list[Keeper]:
    """The newest checkpoint of each anchor."""
    newest: dict[str, Keeper] = {}
    for one in Anchors(directory, ()).done():
        newest.setdefault(
            one.place, Keeper("anchor", one.place, one.size, _time(one.at), "", False)
        )
    return list(newest.values())


def _time(seconds: int) -> str:
    return ts_of(seconds * 10**9) if seconds else ""
