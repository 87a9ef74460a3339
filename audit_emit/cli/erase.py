"""``audit-emit erase``: destroy the key of a person, and have the log say so."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from audit_emit._facade.erasure import (
    ALLOWED_TYPE,
    ERASED,
    LIVE,
    Erasable,
    Erased,
    KeyStore,
    Remains,
    Request,
    Tombstone,
    erase,
    find_remains,
    revived,
)
from audit_emit._facade.queries import Question, open_reader, open_readers
from audit_emit._facade.records import ts_of
from audit_emit._facade.settings import is_address
from audit_emit._facade.text import visible
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import command as a_command
from audit_emit.cli._command import complain
from audit_emit.cli._exit import Exit
from audit_emit.cli._logs import grouped, logs_argument, name_of, named
from audit_emit.cli._output import formats
from audit_emit.cli._recording import Recording, operator, recordings
from audit_emit.cli._redacting import recorded
from audit_emit.cli._subject_keys import needed_store, subject_keys_option
from audit_emit.cli._times import time_option
from audit_emit.errors import DatabaseError, KeyStoreError, SinkError

_DAY = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")
_LONGEST_REFERENCE = 256


@a_command(
    "erase",
    {
        Exit.OK: "the key is destroyed and every LOG says so; or shown (--dry-run), allowed, "
        "nothing to replay",
        Exit.FINDINGS: "with --replay: keys had come back, and were destroyed again",
        Exit.USAGE: "",
        Exit.NOTHING: "the store has no key of this person, or there is no log",
        Exit.INCOMPLETE: "another erasure is running, the store failed, or a log could not be "
        "written to: run it again",
    },
    [
        "audit-emit erase u-17 /var/log/audit-emit/shop --dry-run --also someone@example.com",
        "audit-emit erase u-17 --reference DSR-2026-0042 --backups-until 2026-06-18",
        "audit-emit erase u-17 postgresql://db/audit s3://audit/shop",
        "audit-emit erase --replay /var/log/audit-emit/shop",
    ],
)
@click.argument("subject", metavar="[SUBJECT]", default="")
@logs_argument
@subject_keys_option
@click.option(
    "--dry-run", is_flag=True, help="Print what is sealed, and what stays; change nothing."
)
@click.option(
    "--also",
    multiple=True,
    metavar="TEXT",
    help="With --dry-run: another text that names the person, such as an address; repeatable.",
)
@click.option(
    "--requested-at",
    callback=time_option,
    metavar="TIME",
    help="When the erasure was requested; UTC.  [default: now]",
)
@click.option(
    "--reference",
    default="",
    metavar="TEXT",
    help="The request in your own files, such as its number; never a name.",
)
@click.option(
    "--backups-until",
    default="",
    metavar="DAY",
    help="The day on which the last backup of the key is gone.",
)
@click.option("--by", default="", metavar="USER", help="Who erases.  [default: you]")
@click.option("--allow", is_flag=True, help="Record an erased person again, under a new key.")
@click.option(
    "--replay",
    is_flag=True,
    help="After a backup of the keys was restored: destroy those again that a LOG calls erased.",
)
@formats("text", "json")
def command(
    subject: str,
    logs: tuple[str, ...],
    *,
    subject_keys: str,
    dry_run: bool,
    also: tuple[str, ...],
    requested_at: str,
    reference: str,
    backups_until: str,
    by: str,
    allow: bool,
    replay: bool,
    form: str,
) -> Exit:
    """Destroy the key of a person, and record that in each LOG.

    After that nobody can read what was sealed with the key, wherever it was copied to, and the
    pseudonym in user_id leads to no person. What the person does later is withheld, until --allow.
    --dry-run lists what is in the log in plain, which stays. The command can be interrupted
    anywhere, and run again.

    SUBJECT is the id that the program gives to Subject(...), and as user_id. Without LOG, the log
    that this environment configures. The address of a database stands for every live chain there;
    name an archive after the LOG that it belongs to. Run it as the user of the service.
    """
    if replay:
        logs = (subject, *logs) if subject else logs
        subject = ""
    _check(subject, backups_until, reference, also, modes=[dry_run, allow, replay])
    store = needed_store(subject_keys)
    found = named(logs)
    request = Request(
        requested_at or ts_of(time.time_ns()), recorded(reference, "--reference"), backups_until
    )
    try:
        if dry_run:
            return _show_remains(store, subject, found, also, form)
        with store.apart(), recordings(found, by or operator()) as taking:
            erasables = list(map(_erasable, taking))
            if replay:
                return _replay(store, erasables, request, form)
            if allow:
                return _allow(store, subject, erasables, request, form)
            return _erase(store, subject, erasables, request, form)
    except (KeyStoreError, DatabaseError, SinkError) as error:
        return _failed(error)
    finally:
        store.close()


def _erasable(one: Recording) -> Erasable:
    return Erasable(one.name, partial(open_reader, *one.where), one.record)


def _failed(error: KeyStoreError | DatabaseError | SinkError) -> Exit:
    if isinstance(error, SinkError):
        complain(
            f"a log could not be written to ({error.reason}), so it does not say that the key is "
            "destroyed: run it again"
        )
    else:
        damaged = isinstance(error, KeyStoreError) and error.reason == "damaged"
        what = "restore it from a backup, then run it again" if damaged else "run it again"
        complain(f"{error} ({error.reason}); {what}")
    return Exit.INCOMPLETE


def _check(
    subject: str, day: str, reference: str, also: Sequence[str], *, modes: Sequence[bool]
) -> None:
    if sum(modes) > 1:
        raise click.UsageError("--dry-run, --allow and --replay exclude each other")
    if also and not modes[0]:
        raise click.UsageError("--also belongs to --dry-run")
    if not subject and not modes[-1]:
        raise click.UsageError("name the SUBJECT: the id of the person")
    if day and not _DAY.fullmatch(day):
        raise click.UsageError("--backups-until is a day such as 2026-06-18")
    if len(reference) > _LONGEST_REFERENCE:
        raise click.UsageError(f"--reference has at most {_LONGEST_REFERENCE} characters")


def _erase(
    store: KeyStore, subject: str, logs: Sequence[Erasable], request: Request, form: str
) -> Exit:
    found = store.find(subject)
    if found is None:
        complain(f"{store.shown} has no key of {subject}: nothing is sealed for it")
        return Exit.NOTHING
    with on_terminal("erasing") as bar:
        done = erase(store, found, logs, request, bar)
    _tell([done], store, form)
    return Exit.OK


def _replay(store: KeyStore, logs: Sequence[Erasable], request: Request, form: str) -> Exit:
    found: dict[str, Tombstone] = {}
    with on_terminal("looking for erased keys") as bar:
        for log in logs:
            with log.open() as reader:
                found |= {one.sha256: one for one in revived(store, reader, bar)}
    with on_terminal("erasing") as bar:
        done = [erase(store, one, logs, request, bar) for one in found.values()]
    _tell(done, store, form)
    if form == "text" and not done:
        click.echo(f"{visible(store.shown)} has no key that these logs call erased")
    return Exit.FINDINGS if done else Exit.OK


def _allow(
    store: KeyStore, subject: str, logs: Sequence[Erasable], request: Request, form: str
) -> Exit:
    found = store.find(subject)
    if found is None or found.state == LIVE:
        complain(f"{subject} is not erased in {store.shown}")
        return Exit.NOTHING
    if found.state != ERASED:
        complain("the erasure was not completed: run it again first, without --allow")
        return Exit.INCOMPLETE
    # Recorded first, so that no person is allowed again without a record of it.
    for log in logs:
        log.record(ALLOWED_TYPE, {"store": store.kind, "reference": request.reference})
    store.allow(subject)
    if form == "json":
        click.echo(json.dumps({"allowed": True, "store": store.shown}, indent=2))
    else:
        click.echo("what is personal may be recorded again, under a new key")
    return Exit.OK


def _tell(done: Sequence[Erased], store: KeyStore, form: str) -> None:
    if form == "json":
        click.echo(json.dumps([_as_json(one, store) for one in done], indent=2))
        return
    for one in done:
        if not one.found.sha256:
            click.echo(f"erased before; {visible(store.shown)} knows no more than that")
            continue
        how = "destroyed" if one.destroyed else "was destroyed before"
        click.echo(
            f"key {one.found.sha256[:16]} ({one.found.pseudonym}) {how}: {visible(store.shown)}"
        )
        for name, seen, told in one.logs:
            how = "recorded" if told else "says so already, or has nothing of it"
            where = f", {seen.first} to {seen.last}" if seen.records else ""
            click.echo(f"  {visible(name)}: {seen.records} records{where}; {how}")


def _as_json(one: Erased, store: KeyStore) -> dict[str, Any]:
    return {
        "subject": one.found.pseudonym,
        "key_id": one.found.sha256[:16],
        "key_sha256": one.found.sha256,
        "store": store.shown,
        "destroyed_now": one.destroyed,
        "logs": [
            {
                "log": name,
                "sealed_records": seen.records,
                "first_seq": seen.first,
                "last_seq": seen.last,
                "recorded_now": told,
            }
            for name, seen, told in one.logs
        ],
    }


def _show_remains(
    store: KeyStore, subject: str, logs: Sequence[str], also: Sequence[str], form: str
) -> Exit:
    found = store.find(subject)
    said = []
    for where in grouped(logs):
        for reader in open_readers(where):
            with on_terminal("looking for remains") as bar, reader:
                name = name_of(reader.name) if is_address(where[0]) else where[0]
                said.append((name, find_remains(reader, subject, found, also, bar)))
    loki = [Question(actor=name).logql() for name in _names(subject, found)]
    if form == "json":
        click.echo(json.dumps(_remains_as_json(store, found, said, loki), indent=2))
    else:
        _print_remains(store, found, said, loki)
    return Exit.OK


def _names(subject: str, found: Tombstone | None) -> list[str]:
    return [subject, *([found.pseudonym] if found is not None and found.pseudonym else [])]


def _remains_as_json(
    store: KeyStore,
    found: Tombstone | None,
    said: Sequence[tuple[str, Remains]],
    loki: Sequence[str],
) -> dict[str, Any]:
    key = None
    if found is not None:
        key = {"state": found.state, "key_id": found.sha256[:16], "subject": found.pseudonym}
    logs = [
        {"log": log, "records": one.records, "remains": [kind._asdict() for kind in one.found]}
        for log, one in said
    ]
    return {"store": store.shown, "key": key, "logs": logs, "loki": list(loki)}


_SAYS = {
    "id": "the id itself",
    "text": "what was asked for",
    "correlation": "an id that joins records",
    "path": "a path or an address of a page",
    "address": "an address",
}


def _print_remains(
    store: KeyStore,
    found: Tombstone | None,
    said: Sequence[tuple[str, Remains]],
    loki: Sequence[str],
) -> None:
    def say(text: str) -> None:
        click.echo(visible(text))

    if found is not None and found.state == ERASED:
        say(f"{store.shown}: this person was erased, and gets no key")
    elif found is None:
        say(f"{store.shown} has no key of this person: nothing would be destroyed")
    else:
        say(f"key {found.sha256[:16]} ({found.pseudonym}) in {store.shown}: {found.state}")
    for log, one in said:
        say(f"{log}: {one.records} records are of this person; in plain, and staying:")
        for kind in one.found:
            where = f"{kind.records} records, {kind.first} to {kind.last}"
            say(f"  {kind.place}: {_SAYS[kind.kind]} ({where})")
        if not one.found:
            say("  nothing that was recognised")
    say("copies in Loki, an archive, exports and backups have the same; Loki is asked with:")
    for question in loki:
        say("  " + " ".join(question.split()))
