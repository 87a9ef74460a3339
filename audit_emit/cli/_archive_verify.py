"""``audit-emit archive verify``: the archive against its manifests and the log."""

from __future__ import annotations

import json
import os
import re
import time
from typing import Any

import click

from audit_emit._facade.archive import (
    DECLARED,
    WARNINGS,
    Bucket,
    Cold,
    Inspection,
    Issue,
    Wanted,
    cold_logs,
    entries_of,
    manifests_of,
    newest_record_at,
    parsed,
    with_records,
)
from audit_emit._facade.queries import LogReader, open_readers, records_of
from audit_emit._facade.text import visible
from audit_emit.cli._archiving import (
    FAILURES,
    failed,
    journal_of,
    settings_of,
    to_option,
)
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import Command
from audit_emit.cli._exit import Exit, worst
from audit_emit.cli._keys import pinned_keys
from audit_emit.cli._logs import logs_argument, named
from audit_emit.cli._output import formats
from audit_emit.log import KeyRing

SHOWN = 20
"""Issues or batches that are shown as text; all are in JSON."""


def _chains(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    if not all(re.fullmatch("[0-9a-f]{16}", each) for each in value):
        raise click.BadParameter("must be the id of a chain, 16 hex digits")
    return value


@click.command(
    "verify",
    cls=Command,
    statuses={
        Exit.OK: "everything is there as it was",
        Exit.FINDINGS: "something is missing or altered, or a manifest is forged",
        Exit.USAGE: "",
        Exit.NOTHING: "nothing is archived there",
        Exit.INCOMPLETE: "every record is there; but a key or a lock is missing, objects were "
        "added or replaced, or nothing new was archived lately (--fresh)",
        Exit.NO_ANSWER: "the store gives no answer",
    },
    examples=[
        "audit-emit archive verify --key audit-verifier.txt",
        "audit-emit archive verify /var/log/audit-emit/shop --key audit-verifier.txt --json",
        "audit-emit archive verify --key audit-verifier.txt --fresh 2",
    ],
)
@logs_argument
@to_option
@pinned_keys
@click.option("--quick", is_flag=True, help="See that each object is there, and fetch none.")
@click.option(
    "--expiring",
    type=click.IntRange(min=0),
    default=30,
    metavar="DAYS",
    help="Report locks that end within this many days.  [default: 30]",
)
@click.option(
    "--fresh",
    type=click.IntRange(min=0),
    metavar="DAYS",
    help="Report chains whose newest manifest is older than this many days.",
)
@click.option(
    "--ended",
    multiple=True,
    metavar="CHAIN",
    callback=_chains,
    help="A chain that has ended, to which --fresh does not apply; repeatable.",
)
@formats("text", "json")
def verify(
    logs: tuple[str, ...],
    *,
    archive: str,
    keys: tuple[str, ...],
    quick: bool,
    expiring: int,
    fresh: int | None,
    ended: tuple[str, ...],
    form: str,
) -> Exit:
    """Check the archive: every manifest, every object, every record, every lock.

    With a LOG, only its chain is checked, and compared with what the log and its journal say of
    the archive; without one, everything below the address. To verify a log together with what is
    archived of it: audit-emit verify LOG s3://bucket/prefix.
    """
    settings = settings_of(archive)
    ring = KeyRing.from_sources(list(keys), os.environ)
    known, chains = _known_of(list(logs), settings.shown, ring)
    try:
        with Bucket(settings) as bucket:
            colds = cold_logs(bucket, {}, chains or None)
            wanted = Wanted(
                ring,
                known,
                locked=bool(settings.lock) or bucket.protection().lock,
                days=expiring,
                now=time.time(),
                deep=not quick,
                fresh=fresh,
                ended=ended,
            )
            told = [_inspected(bucket, cold, wanted) for cold in colds]
    except FAILURES as error:
        return failed(error)
    there = {cold.chain for cold in colds}
    named_there = {key.split("/")[-2] for key in known if "/" in key}
    asked = chains & named_there if fresh is None else chains - set(ended) - {""} | named_there
    for chain in sorted((chains & asked) - there):
        kind = "missing" if chain in named_there else "stale"
        told.append((Cold(settings, chain, [], []), [_gone(kind, chain)]))
    status = worst(_verdict(issues) for _, issues in told) if told else Exit.NOTHING
    _show(told, status, settings.shown, form)
    return status


def _show(told: list[tuple[Cold, list[Issue]]], status: Exit, where: str, form: str) -> None:
    if form == "json":
        made = [_as_json(cold, issues) for cold, issues in told]
        click.echo(json.dumps({"exit_status": int(status), "chains": made}, indent=2))
        return
    for cold, issues in told:
        _show_issues(cold, issues)
    if not told:
        click.echo(f"nothing is archived in {where}")


def _known_of(logs: list[str], where: str, ring: KeyRing) -> tuple[dict[str, str], set[str]]:
    """The digest of each manifest, as logs and journals name it; and the chains of the logs."""
    known: dict[str, str] = {}
    chains: set[str] = set()
    for log in named(logs) if logs else ():
        for reader in open_readers([log]):
            with reader:
                first = reader.bounds().first
                chain = first.chain if first is not None else ""
                chains.add(chain)
                declared = _declared(reader, where)
            # The chain is what was signed: what it says of a key stands, whatever the journal has.
            entries = list(entries_of(journal_of(log, chain), where))
            noted = manifests_of(entries, chain)
            known |= {one.key: one.digest() for one in noted if one.check(ring) != "mismatch"}
            known |= declared
    return known, chains


def _declared(reader: LogReader, where: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for _, line in records_of(reader, DECLARED):
        fields = (parsed(line) or {}).get("fields")
        if isinstance(fields, dict) and fields.get("archive") == where:
            found[str(fields.get("manifest"))] = str(fields.get("manifest_sha256"))
    return found


def _gone(kind: str, chain: str) -> Issue:
    return Issue(kind, chain, "nothing of this chain is archived there")


def _inspected(bucket: Bucket, cold: Cold, wanted: Wanted) -> tuple[Cold, list[Issue]]:
    with on_terminal("checking", "records") as bar:
        return cold, list(Inspection(bucket, cold, wanted, bar).issues())


def _verdict(issues: list[Issue]) -> Exit:
    kinds = {one.kind for one in issues}
    if kinds - WARNINGS:
        return Exit.FINDINGS
    return Exit.INCOMPLETE if kinds else Exit.OK


def _as_json(cold: Cold, issues: list[Issue]) -> dict[str, Any]:
    return {
        "chain": cold.chain,
        "batches": len(with_records(cold.manifests)),
        "newest_manifest_at": cold.manifests[-1].at if cold.manifests else None,
        "newest_record_at": newest_record_at(cold.manifests),
        "highest_archived_seq": cold.manifests[-1].last_seq if cold.manifests else 0,
        "issues": [one._asdict() for one in issues],
    }


def _show_issues(cold: Cold, issues: list[Issue]) -> None:
    word = {Exit.OK: "ok", Exit.INCOMPLETE: "incomplete", Exit.FINDINGS: "TAMPERED"}
    first = cold.manifests[0].first_seq if cold.manifests else 0
    last = cold.manifests[-1].last_seq if cold.manifests else 0
    click.echo(
        f"{word[_verdict(issues)]}  chain {cold.chain}: records {first} to {last} in "
        f"{len(with_records(cold.manifests))} batches"
    )
    if cold.manifests:
        newest = newest_record_at(cold.manifests)
        click.echo(f"  the newest record is of {newest}, the manifest of {cold.manifests[-1].at}")
    for one in issues[:SHOWN]:
        click.echo(visible(f"  {one.kind:<9}  {one.key}: {one.note}"))
    if len(issues) > SHOWN:
        click.echo(f"  and {len(issues) - SHOWN} more (--json)")
