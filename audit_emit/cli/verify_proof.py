"""``audit-emit verify-proof``: is the record of a proof file in the log? The log is not needed."""

from __future__ import annotations

import json
import sys

import click

from audit_emit._facade.proofs import HEADER, ConsistencyFile, TlogProof, Tree, tree_in
from audit_emit._facade.records import Claim, head_of, parse_receipt
from audit_emit._facade.text import visible
from audit_emit._facade.verdicts import MAX_BYTES, signed_time
from audit_emit.cli._command import command as a_command
from audit_emit.cli._command import complain
from audit_emit.cli._exit import Exit
from audit_emit.cli._keys import pinned_keys
from audit_emit.cli._output import formats
from audit_emit.cli._records import parse, shown
from audit_emit.cli._streams import decided
from audit_emit.log import Evidence, Judgement, KeyRing

EXITS = {"ok": Exit.OK, "mismatch": Exit.FINDINGS, "key-unavailable": Exit.INCOMPLETE}


def _receipt(_: click.Context, __: click.Parameter, value: str | None) -> Claim | None:
    claim = parse_receipt(value) if value else None
    if value and claim is None:
        raise click.BadParameter("a receipt is CHAIN:SEQ:HASH, as in the header Audit-Receipt")
    return claim


def _is_of(evidence: Evidence, receipt: Claim) -> bool:
    head = head_of(evidence.record.encode("utf-8", "surrogatepass"))
    return head is not None and Claim(head.chain, head.seq, head.hash) == receipt


def _kept(_: click.Context, __: click.Parameter, value: str | None) -> Tree | None:
    if value is None:
        return None
    with open(value, "rb") as file:
        data = file.read(MAX_BYTES)
    try:
        return tree_in(data)
    except ValueError as error:
        raise click.BadParameter(visible(str(error))) from None


@a_command(
    "verify-proof",
    {
        Exit.OK: "the record is in the log, or the checkpoint continues the older one",
        Exit.FINDINGS: "it is not, or does not",
        Exit.USAGE: "",
        Exit.NOTHING: "there is no proof in the file",
        Exit.INCOMPLETE: "there is no key to check it with",
    },
    [
        "audit-emit verify-proof record-4711.proof --key shop-verifier.txt",
        "audit-emit verify-proof continued.proof --old kept.note --key shop-verifier.txt",
    ],
)
@click.argument("file", metavar="FILE", type=click.Path(readable=False, allow_dash=True))
@click.option(
    "--receipt",
    metavar="RECEIPT",
    callback=_receipt,
    help="The record must be the one that this receipt names (CHAIN:SEQ:HASH).",
)
@click.option(
    "--old",
    metavar="CHECKPOINT",
    callback=_kept,
    help="For a proof of prove --from: the older checkpoint, as you kept it; a file with a signed "
    "note or a line of checkpoints.jsonl.",
)
@pinned_keys
@formats("text", "json")
def command(
    file: str, keys: tuple[str, ...], receipt: Claim | None, old: Tree | None, form: str
) -> Exit:
    """Check that the record in a proof FILE is in the log that a key signed.

    FILE is the output of audit-emit prove, also with --tlog-proof; - is standard input. The key is
    one that you give, never one from the file.
    """
    ring = KeyRing.from_sources(list(keys))
    if file == "-":
        data = sys.stdin.buffer.read(MAX_BYTES)
    else:
        with open(file, "rb") as opened:
            data = opened.read(MAX_BYTES)
    try:
        if data.startswith(HEADER) and old is None:
            return _portable(TlogProof.from_bytes(data), ring, receipt, form)
        if b'"consistency_proof"' in data and receipt is None:
            return _continued(ConsistencyFile.from_bytes(data), ring, old, form)
        if old is not None:
            raise click.UsageError("--old is about a proof that one checkpoint continues another")
        evidence = Evidence.from_bytes(data)
    except ValueError as error:
        complain(f"{file}: {error}")
        return Exit.NOTHING
    judgement = evidence.judge(ring)
    if receipt is not None and judgement.verdict != "mismatch" and not _is_of(evidence, receipt):
        judgement = Judgement("mismatch", "the record is another one than that of the receipt")
    status = decided(EXITS[judgement.verdict])
    if form == "json":
        click.echo(json.dumps(_as_dict(evidence, judgement, ring)))
    else:
        _show(evidence, judgement, ring)
    return status


def _portable(proof: TlogProof, ring: KeyRing, receipt: Claim | None, form: str) -> Exit:
    """Tell whether the record of a tlog-proof is in the log."""
    judgement, head = proof.judge(ring), proof.head
    is_it = head is not None and Claim(head.chain, head.seq, head.hash) == receipt
    if receipt is not None and judgement.verdict != "mismatch" and not is_it:
        judgement = Judgement("mismatch", "the record is another one than that of the receipt")
    origin, size, _ = tree_in(proof.note.to_bytes())
    told = {"verdict": judgement.verdict, "why": judgement.why, "seq": proof.leaf_index + 1}
    if form == "json":
        click.echo(json.dumps({**told, "tree_size": size, "origin": origin}))
    elif judgement.verdict == "ok":
        click.echo(f"proved: record {proof.leaf_index + 1} is in {visible(origin)}")
        click.echo(f"  signed over the first {size} records")
        record = parse(proof.record)
        if record is not None:
            click.echo(shown(record))
    else:
        click.echo(f"not proved: {judgement.why}")
    return decided(EXITS[judgement.verdict])


def _continued(proof: ConsistencyFile, ring: KeyRing, kept: Tree | None, form: str) -> Exit:
    """Tell whether one checkpoint continues another."""
    judgement = proof.judge(ring, kept)
    old, new = proof.old.head_seq, proof.new.head_seq
    told = {"verdict": judgement.verdict, "why": judgement.why, "old_size": old, "new_size": new}
    told |= {"old_root": proof.old.root_hash, "new_root": proof.new.root_hash}
    if form == "json":
        click.echo(json.dumps({**told, "origin": proof.new.origin}))
    elif judgement.verdict == "ok":
        click.echo(f"proved: the checkpoint of {new} records continues that of {old}")
        click.echo(f"  of {visible(proof.new.origin)}, {proof.new.when}")
        if kept is None:
            click.echo(
                f"  compare the older root with the one that you kept: {proof.old.root_hash}"
            )
    else:
        click.echo(f"not proved: {judgement.why}")
    return decided(EXITS[judgement.verdict])


def _as_dict(evidence: Evidence, judgement: Judgement, ring: KeyRing) -> dict[str, object]:
    one = evidence.checkpoint
    proved = judgement.verdict == "ok" and signed_time(one, ring) is not None
    return {
        "verdict": judgement.verdict,
        "why": judgement.why,
        "seq": evidence.leaf_index + 1,
        "tree_size": evidence.tree_size,
        "origin": one.origin,
        "sig_alg": one.sig_alg,
        "key_id": one.key_id,
        "signed_at": one.at if proved else None,
        "unsigned_time": None if proved else one.at,
    }


def _show(evidence: Evidence, judgement: Judgement, ring: KeyRing) -> None:
    one = evidence.checkpoint
    key = visible(ring.named(one.sig_alg, one.key_id, one.origin))
    if judgement.verdict == "mismatch":
        click.echo(f"not proved: {judgement.why}")
        return
    if judgement.verdict == "key-unavailable":
        click.echo(f"not proved yet: {judgement.why} ({key}); name it with --key")
        return
    click.echo(f"proved: record {evidence.leaf_index + 1} is in {one.origin}")
    click.echo(f"  signed with {key}, over the first {one.head_seq} records, {one.when}")
    record = parse(evidence.record.encode("utf-8", "surrogatepass"))
    if record is not None:
        click.echo(shown(record))
