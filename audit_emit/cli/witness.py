"""``audit-emit witness``: ask witnesses to cosign a log, show their state, or be a witness."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from audit_emit._facade.http import Server
from audit_emit._facade.queries import open_reader
from audit_emit._facade.records import ts_of
from audit_emit._facade.text import visible
from audit_emit._facade.verdicts import policy_in
from audit_emit._facade.witnesses import (
    LONGEST,
    Attempt,
    Cosigner,
    Ed25519Key,
    Kept,
    Policy,
    Witness,
    check_url,
    cosigned_at,
    finding_of,
    newest_checkpoint,
    signer_directory,
)
from audit_emit.cli._command import command as a_command
from audit_emit.cli._command import complain
from audit_emit.cli._exit import Exit
from audit_emit.cli._http import address_options, served
from audit_emit.cli._keys import key_option, pinned_keys
from audit_emit.cli._logs import logs_argument, one_of
from audit_emit.cli._output import formats
from audit_emit.errors import ConfigError
from audit_emit.log import Checkpoint, KeyRing


@click.group("witness")
def command() -> None:
    """Have others cosign a log, and cosign the logs of others (C2SP tlog-witness).

    A witness signs a checkpoint only if it continues the one that it signed before. With a few
    witnesses, even the owner of the log's key cannot present another history, or an older state,
    without this being noticed.
    """


@a_command(
    "add",
    {
        Exit.OK: "the witness is asked from now on",
        Exit.USAGE: "usage, or it cannot be a witness",
        Exit.NOTHING: "there is no log",
    },
    [
        "audit-emit witness add https://witness.example.com/w1 --key w1.vkey",
    ],
)
@click.argument("url")
@logs_argument
@click.option(
    "--key",
    "vkey",
    required=True,
    metavar="VKEY",
    help="The witness's verifier key: a text or a file.",
)
def add(url: str, logs: tuple[str, ...], vkey: str) -> Exit:
    """Ask the witness at URL to cosign each checkpoint of a LOG, at most one a minute.

    The witness is written to witness.policy beside the log, a C2SP tlog-policy that you may edit,
    and that an auditor can use with audit-emit verify --policy. It is asked by the process that
    signs: the service, or audit-emit checkpoint. It has to know the key of the log, which
    audit-emit vkey prints.
    """
    try:
        key = Cosigner.from_vkey(_text(vkey))
        with _kept(one_of(logs)) as kept:
            policy = kept.add(key.name.replace(" ", "-"), key.to_vkey(), check_url(url))
    except ValueError as error:
        raise click.UsageError(visible(str(error))) from None
    click.echo(f"{visible(key.name)}, {key.algorithm} key {key.key_id}: {policy.demand}")
    return Exit.OK


@a_command(
    "status",
    {
        Exit.OK: "every witness has cosigned the newest checkpoint",
        Exit.FINDINGS: "a witness has cosigned another history of the log",
        Exit.USAGE: "",
        Exit.NOTHING: "there is no log, or no witness",
        Exit.INCOMPLETE: "a witness has not cosigned it, or not yet",
    },
    ["audit-emit witness status /var/log/audit-emit/shop --key shop-verifier.txt"],
)
@logs_argument
@pinned_keys
@formats("text", "json")
def status(logs: tuple[str, ...], keys: tuple[str, ...], form: str) -> Exit:
    """Show which witnesses have cosigned a LOG, up to which record, and what went wrong.

    Each cosignature is checked with the key in witness.policy. Whoever can write that file can
    change the key: audit-emit verify --witness takes keys from you instead.
    """
    where, ring = one_of(logs), KeyRing.from_sources(list(keys))
    with open_reader(where) as reader:
        kept = Kept(signer_directory(reader))
        newest = newest_checkpoint(reader, ring if ring.keys else None)
    policy = _policy(kept)
    if policy is None:
        complain("no witness is asked: audit-emit witness add URL --key VKEY")
        return Exit.NOTHING
    rows = [_row(kept, one.key, one.url, newest) for one in policy.witnesses.values()]
    found = [row["status"] for row in rows]
    result = next((each for each in (Exit.FINDINGS, Exit.INCOMPLETE) if each in found), Exit.OK)
    if form == "json":
        head = newest.head_seq if newest else None
        told = {"exit_status": int(result), "signed": head, "witnesses": rows}
        click.echo(json.dumps(told, indent=2))
        return result
    for row in rows:
        click.echo(f"{visible(row['witness'])}  {visible(row['text'])}")
    return result


def _row(kept: Kept, key: Cosigner, url: str, newest: Checkpoint | None) -> dict[str, Any]:
    """What is known of one witness."""
    attempt = kept.attempts().get(key.key_id, Attempt("not asked yet", 0))
    size, at, root = 0, 0, ""
    for one in kept.cosigned():
        with suppress(ValueError):
            signed = cosigned_at(key, one.text, one.signature)
            if signed is not None and (newest is None or one.origin == newest.origin):
                size, at, root = one.size, signed, one.root
                break
    signed_here = newest.head_seq if newest is not None else 0
    text = f"cosigned {size} of {signed_here} signed records"
    text += f" at {ts_of(at * 10**9)}" if at else ""
    if attempt.is_finding:
        text += f"; {finding_of(attempt)}"
    elif attempt.note:
        text += f"; {attempt.note}"
    # The kept cosignature may be newer than the log, if the log was restored or written anew.
    other = newest is not None and size == signed_here and root != newest.root_hash
    if other or (newest is not None and size > signed_here):
        text += "; the log was set back or written anew"
        state = Exit.FINDINGS
    elif attempt.is_finding:
        state = Exit.FINDINGS
    else:
        state = Exit.OK if newest is not None and size == signed_here else Exit.INCOMPLETE
    return {
        "witness": key.name,
        "key_id": key.key_id,
        "algorithm": key.algorithm,
        "url": url,
        "cosigned": size,
        "cosigned_at": ts_of(at * 10**9) if at else None,
        "state": attempt.state,
        "tried_at": ts_of(attempt.tried_at * 10**9) if attempt.tried_at else None,
        "note": attempt.note,
        "status": int(state),
        "text": text,
    }


@a_command(
    "serve",
    {
        Exit.OK: "ended by a signal",
        Exit.USAGE: "usage, no key, or no log",
        Exit.NOTHING: "the state directory cannot be used",
    },
    [
        "audit-emit witness serve --name w.example.com --key w.pem --log shop.vkey --state DIR",
    ],
)
@click.option("--name", required=True, help="The name of this witness, a URL without https://.")
@key_option("Its Ed25519 pair")
@click.option(
    "--log",
    "log_keys",
    multiple=True,
    metavar="VKEY",
    help="A log that it cosigns: a verifier key, or its file.",
)
@click.option("--policy", metavar="FILE", help="Cosign the logs of this C2SP tlog-policy, too.")
@click.option(
    "--state",
    required=True,
    type=click.Path(file_okay=False),
    help="The directory that keeps what it cosigned. If it is lost, the witness needs a new key.",
)
@address_options(7380)
def serve(
    name: str,
    keys: tuple[str, ...],
    log_keys: tuple[str, ...],
    policy: str | None,
    state: str,
    bind: str,
    port: int,
) -> Exit:
    """Be a witness for the logs of others, until a signal comes.

    It answers POST /add-checkpoint, and GET /<SHA-256 of the origin>/checkpoint with the note that
    it cosigned last (C2SP tlog-witness). It signs a checkpoint only if that continues the one
    before, and after its state is on the disk. The origin of a log is the name of its verifier key.

    Run it on another machine than the log, under another administrator: else it proves nothing. Put
    a proxy in front for TLS.
    """
    pairs = [key for key in KeyRing.from_sources(list(keys)).keys if isinstance(key, Ed25519Key)]
    if not pairs or not all(key.secret for key in pairs):
        raise ConfigError("key", "of a witness is an Ed25519 pair: audit-emit keygen makes one")
    try:
        own = [Cosigner.of_pair(name, pair) for pair in pairs]
        known = [Ed25519Key.from_vkey(_text(one)) for one in log_keys]
        known += policy_in(policy).logs if policy else ()
    except ValueError as error:
        raise click.UsageError(visible(str(error))) from None
    if not known:
        raise click.UsageError("name the logs that it may cosign: --log, or --policy")
    os.makedirs(state, mode=0o700, exist_ok=True)
    witness = Witness(os.path.abspath(state), own, known)
    server = Server(
        bind, port, witness.answer, most=LONGEST, failed=lambda error: complain(str(error))
    )
    for key in own:
        click.echo(f"verifier key {key.to_vkey()}")
    logs = "1 log" if len(known) == 1 else f"{len(known)} logs"
    served(server, f"witness of {logs} at {server.url}")
    return Exit.OK


def _text(given: str) -> str:
    """A verifier key, or the one in a file."""
    if given.count("+") >= 2 and not os.path.exists(given):
        return given
    try:
        return Path(given).read_text("utf-8")[:8192].strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ValueError(f"{given} is no verifier key, and no file with one: {why}") from None


@contextmanager
def _kept(log: str) -> Iterator[Kept]:
    """The files about the witnesses of a log."""
    with open_reader(log) as reader:
        directory = signer_directory(reader)
        if not directory:
            raise click.UsageError("name the directory of a log, or the address of one chain")
        os.makedirs(directory, mode=0o700, exist_ok=True)
        yield Kept(directory)


def _policy(kept: Kept) -> Policy | None:
    try:
        return kept.policy()
    except ValueError as error:
        raise ConfigError("witness.policy", f"cannot be used: {error}") from None


for _each in (add, status, serve):
    command.add_command(_each)
