"""``audit-emit vkey``: the verifier key of a log, under the name that its notes are signed with."""

from __future__ import annotations

import os
from pathlib import Path

import click

from audit_emit._format.record import head_of
from audit_emit._readers.files.logfiles import open_regular
from audit_emit._readers.files.places import last_record
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing
from audit_emit._stores.jsonl.directory import Layout
from audit_emit.cli._exit import Exit
from audit_emit.cli._signer import active, emitter_of
from audit_emit.errors import ConfigError


@click.command("vkey")
@click.argument("path", required=False, type=click.Path(path_type=Path, readable=False))
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="KEY",
    help="A file with the key, or the name of an environment variable; the last one counts. "
    "[default: AUDIT_EMIT_SIGNING_KEY and AUDIT_EMIT_SIGNING_KEY_FILE]",
)
@click.option("--origin", help="The log's name in checkpoints.  [default: AUDIT_EMIT_ORIGIN]")
def command(path: Path | None, keys: tuple[str, ...], origin: str | None) -> Exit:
    """Print the verifier key of the log at PATH: what others verify its notes with.

    It is a C2SP verifier key under the log's full name, ORIGIN/CHAIN, and its id is the one that
    checkpoints and verify show. The log must have a record, since the first one draws the chain.

    Exit status: 0 ok, 2 usage, no key, or one that has no verifier key (HMAC), 3 no log.
    """
    file = active(path)
    ring = KeyRing.from_sources(list(keys))
    if not ring.keys:
        raise ConfigError("key", "is missing: --key FILE, or AUDIT_EMIT_SIGNING_KEY_FILE")
    key = ring.keys[-1]
    if not isinstance(key, Ed25519Key):
        raise ConfigError("key", "is a shared key (HMAC), and others cannot verify with that")
    emitter = emitter_of(file, origin, stdout=False)
    name = emitter.settings.log_origin
    emitter.close()
    chain = _chain(file)
    if chain is None:
        click.echo("audit-emit: the log has no record yet, so its name is not settled", err=True)
        return Exit.UNREADABLE
    if key.key_id(f"{name}/{chain}") is None:
        raise ConfigError("key", f"is meant for {key.name}, not for {name}; see --origin")
    click.echo(key.to_vkey(f"{name}/{chain}"))
    return Exit.OK


def _chain(file: Path) -> str | None:
    """The chain of the last record."""
    for name in (str(file), *reversed(Layout.of(str(file)).closed_segments())):
        descriptor = open_regular(name)
        try:
            found = last_record(descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
        head = head_of(found.line) if found is not None else None
        if head is not None:
            return head.chain
    return None
