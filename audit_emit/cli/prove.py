"""``audit-emit prove``: one record, with the proof that it is in the log."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from audit_emit._facade.proofs import CONSISTENCY_VERSION, ConsistencyFile, TlogProof, prove_tlog
from audit_emit._facade.queries import find_record, open_reader
from audit_emit._facade.records import Claim, body_of, leaf_hash, parse_receipt
from audit_emit.cli._command import command as a_command
from audit_emit.cli._command import complain
from audit_emit.cli._exit import Exit
from audit_emit.cli._logs import grouped, logs_argument, named
from audit_emit.cli._output import kept
from audit_emit.errors import CheckpointError, ConfigError
from audit_emit.log import AuditLog, Evidence, KeyRing, open_log

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@a_command(
    "prove",
    {
        Exit.OK: "proved",
        Exit.FINDINGS: "the log was changed, or does not have what a receipt names",
        Exit.USAGE: "",
        Exit.NOTHING: "there is no such record, or no log",
        Exit.INCOMPLETE: "no checkpoint covers it yet, or none has that number of records",
    },
    [
        "audit-emit prove 4711 --out record-4711.proof",
        "audit-emit prove 9f2c…:4711:03ab… /var/log/audit-emit/shop --out receipt.proof",
        "audit-emit prove 019ed0b1-7c00-7000-8000-000000000003 /var/log/audit-emit/shop",
        "audit-emit prove 4711 --tlog-proof --out record-4711.tlog-proof",
        "audit-emit prove --from 4700 /var/log/audit-emit/shop --out continued.proof",
    ],
)
@click.argument("which", metavar="[SEQ|ID|RECEIPT]", required=False)
@logs_argument
@click.option(
    "--from",
    "old",
    type=click.IntRange(min=1),
    metavar="N",
    help="Prove that the newest checkpoint continues the one of N records, instead of a record.",
)
@click.option(
    "--to",
    "new",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --from: take the checkpoint of N records instead of the newest.",
)
@click.option(
    "--tlog-proof",
    "portable",
    is_flag=True,
    help="Write a C2SP tlog-proof of the record, with cosignatures of witnesses.",
)
@kept
def command(
    which: str | None, logs: tuple[str, ...], old: int | None, new: int | None, *, portable: bool
) -> Exit:
    """Write a proof that a record is in a log, or that one checkpoint continues another.

    The record is named by its number (SEQ), its id (ID), or by the receipt that a service gave in
    its header Audit-Receipt (CHAIN:SEQ:HASH). LOG is a log's directory or its active file; without
    it, the log that this environment configures. An ID or a RECEIPT may be looked for in several
    logs. The proof has the record, its inclusion proof, and the first checkpoint that covers it;
    audit-emit verify-proof checks it without the log.

    Proofs are made from hash tiles, which the signer keeps in tile/ beside the log. Where they are
    missing or wrong, the log is read and they are made again: there, or in the temporary directory.
    """
    if portable and old is not None:
        raise click.UsageError("a tlog-proof is of a record; leave out --from")
    if old is not None:
        return _continued(((which,) if which else ()) + logs, old, new)
    if which is None or new is not None:
        raise click.UsageError(
            "name the record by its SEQ, its ID or its RECEIPT; --to needs --from"
        )
    claim = parse_receipt(which)
    if not (claim or _is_seq(which) or _ID.fullmatch(which)):
        raise click.UsageError("name the record by its SEQ, its ID or its RECEIPT, before the LOG")
    if _is_seq(which) and len(grouped(logs)) > 1:
        raise click.UsageError("every log has a record of that number; name one LOG, or the ID")
    try:
        where, seq = _received(claim, logs) if claim else _found(which, named(logs))
        made = _made(where, seq, portable=portable)
    except CheckpointError as error:
        complain(str(error))
        return Exit.FINDINGS
    except LookupError as error:
        why = str(error.args[0]) if error.args else ""
        complain(why if "record" in why else f"there is no record {which}")
        return Exit.NOTHING
    except ConfigError:
        raise
    except ValueError as error:
        yet = "; the record is there as the receipt says: ask again once the log is signed"
        complain(f"{error}{yet if claim else ''}")
        return Exit.INCOMPLETE
    sys.stdout.buffer.write(made.to_bytes())
    return Exit.OK


def _continued(logs: Sequence[str], old: int, new: int | None) -> Exit:
    """Write the proof that a checkpoint continues an older one."""
    where, *others = grouped(named(logs))
    if others:
        raise click.UsageError("this is about one LOG at a time")
    log = _opened(where)
    try:
        newest = log.checkpoint(trusted=False)
        made = log.prove_consistency(old, new or (newest.head_seq if newest else 0))
    except CheckpointError as error:
        complain(str(error))
        return Exit.FINDINGS
    except LookupError as error:
        complain(f"the records are not here, and neither are their tiles: {error.args[0]}")
        return Exit.NOTHING
    except ConfigError:
        raise
    except ValueError as error:
        complain(str(error))
        return Exit.INCOMPLETE
    sys.stdout.buffer.write(
        ConsistencyFile(CONSISTENCY_VERSION, made.old, made.new, list(made.proof)).to_bytes()
    )
    return Exit.OK


def _made(where: Sequence[str], seq: int, *, portable: bool) -> Evidence | TlogProof:
    if not portable:
        return _opened(where).prove(seq)
    ring = KeyRing.from_sources([])
    with open_reader(*where, ring=ring) as reader:
        return prove_tlog(reader, seq, ring)


def _opened(where: Sequence[str]) -> AuditLog:
    return open_log(where[0], archive=next(iter(where[1:]), ""))


def _found(which: str, logs: Sequence[str]) -> tuple[Sequence[str], int]:
    """The log that has the record, and the number of the record.

    Raises:
        LookupError: there is none.
    """
    places = grouped(logs)
    if _is_seq(which):
        return places[0], int(which)
    for where in places:
        with suppress(LookupError):
            return where, _opened(where).find(which)
    raise LookupError(which)


def _received(claim: Claim, logs: Sequence[str]) -> tuple[Sequence[str], int]:
    """The log that a receipt is from, and the number of its record, whose hash was compared.

    Raises:
        CheckpointError: the log has another record there, or none.
        LookupError: no log has this chain, or the record was removed.
    """
    for where in grouped(named(logs)):
        with open_reader(*where) as reader:
            first, last = reader.bounds()
            if last is None or last.chain != claim.chain:
                continue
            if first is not None and claim.seq < first.seq:
                raise LookupError(f"record {claim.seq} was removed: the log begins at {first.seq}")
            try:
                line = find_record(reader, claim.seq)
            except LookupError:
                why = f"record {claim.seq} is not in the log, which ends at {last.seq}"
                raise CheckpointError("receipt", why) from None
        if leaf_hash(body_of(line)) != claim.hash:
            why = f"record {claim.seq} is not the one that the receipt names"
            raise CheckpointError("receipt", why)
        return where, claim.seq
    raise LookupError(f"no record is there: none of these logs has the chain {claim.chain}")


def _is_seq(which: str) -> bool:
    return which.isascii() and which.isdecimal() and 0 < len(which) < 20
