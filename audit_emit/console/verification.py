"""A verification of the log as a process of its own, which a page starts, watches and ends.

    python -m audit_emit.console.verification

It reads ``{"where": …, "keys": […]}`` from standard input, as other users can see a command line.
It prints lines of JSON: ``{"read": …, "of": …}`` for its progress, at last the verdict or an error.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from audit_emit._facade.records import ts_of
from audit_emit._facade.verdicts import Kind
from audit_emit.log import Report, open_log

EVERY_SECONDS = 0.2
_FINDINGS = 100
FAULTS = {
    "content": (Kind.EVENT_HASH_MISMATCH, Kind.MALFORMED_LINE, Kind.TORN_TAIL),
    "linkage": (
        Kind.EVENT_PREV_HASH_MISMATCH,
        Kind.SEQUENCE_GAP,
        Kind.SEQUENCE_DUPLICATE,
        Kind.CHAIN_ID_MISMATCH,
        Kind.MISSING_SEGMENT,
        Kind.TRUNCATED,
        Kind.NOTHING_FOUND,
    ),
    "signature": (
        Kind.CHECKPOINT_SIGNATURE_MISMATCH,
        Kind.CHECKPOINT_ROOT_MISMATCH,
        Kind.ORIGIN_MISMATCH,
        Kind.NOT_ANCHORED,
        Kind.NOT_WITNESSED,
        Kind.KEY_UNAVAILABLE,
    ),
    "declared": (
        Kind.RECOVERED_TEAR,
        Kind.DECLARED_GAP,
        Kind.LEGACY_RECORD,
        Kind.PRUNED,
        Kind.UNKNOWN_VERSION,
    ),
}
"""What a finding is about: the bytes of a record, its place among the others, what was signed of
them, or something that the log says of itself."""

_FAULT = {kind: fault for fault, kinds in FAULTS.items() for kind in kinds}


def verdict_of(report: Report) -> dict[str, Any]:
    """A report as the pages and the interface for programs have it."""
    word = "tampered" if report.tampered else "incomplete" if report.incomplete else "ok"
    if not report.records and word == "ok":
        word = "empty"
    return {
        "verdict": word,
        "chain": report.chain,
        "records": report.records,
        "first_seq": report.first_seq,
        "last_seq": report.last_seq,
        "last_hash": report.last_hash,
        "checkpoints": report.checkpoints,
        "signed_seq": report.anchored_seq,
        "signed_by": report.anchored_by,
        "signed_at": report.anchored_at,
        "root": report.anchored_root,
        "unsigned": report.unanchored,
        "counts": report.counts,
        "findings": [
            {"fault": _FAULT[one.kind]}
            | {
                name: value
                for name in ("kind", "file", "line", "offset", "seq", "expected", "actual", "note")
                if (value := getattr(one, name)) not in {None, ""}
            }
            for one in report.findings[:_FINDINGS]
        ],
    }


def main(where: str, keys: Sequence[str], archive: str = "") -> None:
    """Verify, and print it."""
    told = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told > EVERY_SECONDS:
            told = now
            _say({"read": done, "of": total})

    begun = time.time_ns()
    try:
        report = open_log(where, keys=tuple(keys), archive=archive).verify(
            progress=progress, anchor_required=bool(keys)
        )
    except Exception as error:  # noqa: BLE001 - the page says what it was
        _say({"error": f"{type(error).__name__}: {error}"})
        return
    _say({**verdict_of(report), "began": ts_of(begun), "ended": ts_of(time.time_ns())})


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(**json.load(sys.stdin))
