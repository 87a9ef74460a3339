"""``audit-emit tiles``: the hashes of a log's tree as files, built, checked and served."""

from __future__ import annotations

import json
from typing import Any

import click

from audit_emit._facade.http import Server
from audit_emit._facade.queries import open_reader
from audit_emit._facade.text import visible
from audit_emit._facade.tiles import Looked, TileService, look
from audit_emit._facade.tiles import build as build_tiles
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import command as a_command
from audit_emit.cli._command import complain
from audit_emit.cli._exit import Exit
from audit_emit.cli._http import address_options, served
from audit_emit.cli._keys import pinned_keys
from audit_emit.cli._logs import grouped, logs_argument, one_of
from audit_emit.cli._output import formats
from audit_emit.errors import CheckpointError, ConfigError
from audit_emit.log import KeyRing

_STATUSES = {
    Exit.OK: "every tile is as it was signed",
    Exit.FINDINGS: "a tile is missing or wrong, or the log is not what was signed",
    Exit.USAGE: "",
    Exit.NOTHING: "there is no log, no checkpoint, or no tile",
    Exit.INCOMPLETE: "none of the given keys signed the checkpoint",
}


@click.group("tiles")
def command() -> None:
    """Build, check and serve the hash tiles of a log (C2SP tlog-tiles).

    Tiles hold the Merkle tree over a log, in files of 256 hashes below tile/, beside the log. The
    signer writes them. A proof needs a few of them and one record, however long the log is. They
    need not be trusted: every use of them is checked against the root that was signed.
    """


@a_command(
    "build",
    {**_STATUSES, Exit.OK: "the tiles are there, as they were signed"},
    ["audit-emit tiles build /var/log/audit-emit/shop --key shop-verifier.txt"],
)
@logs_argument
@pinned_keys
@formats("text", "json")
def build(logs: tuple[str, ...], keys: tuple[str, ...], form: str) -> Exit:
    """Make the missing tiles of a LOG, up to its newest checkpoint.

    They go to tile/ beside the log, or to a cache of the user where that cannot be written. With
    s3://…, after a LOG or alone, archived records are read for them, too.
    """
    return _done(logs, keys, form, make=True)


@a_command(
    "check",
    _STATUSES,
    ["audit-emit tiles check /var/log/audit-emit/shop --key shop-verifier.txt --json"],
)
@logs_argument
@pinned_keys
@formats("text", "json")
def check(logs: tuple[str, ...], keys: tuple[str, ...], form: str) -> Exit:
    """Compare every tile of a LOG with the newest checkpoint that a key signed.

    The records are not read; audit-emit verify does that.
    """
    return _done(logs, keys, form, make=False)


@a_command(
    "serve",
    {
        Exit.OK: "ended by a signal",
        Exit.FINDINGS: "the tiles are not those that were signed: audit-emit tiles build",
        Exit.USAGE: "usage, no key, or one that signs no notes (HMAC)",
        Exit.NOTHING: "there is no log, no checkpoint, or no tile",
    },
    [
        "audit-emit tiles serve /var/log/audit-emit/shop --key shop-verifier.txt",
        "audit-emit tiles serve --hashes-only --bind 0.0.0.0 --port 8080 --key shop-verifier.txt",
    ],
)
@logs_argument
@pinned_keys
@address_options(7381)
@click.option("--hashes-only", is_flag=True, help="Serve only hashes, and no records.")
def serve(
    logs: tuple[str, ...], keys: tuple[str, ...], bind: str, port: int, *, hashes_only: bool
) -> Exit:
    """Serve one LOG over HTTP as C2SP tlog-tiles, read-only, until a signal comes.

    /checkpoint is the newest signed note, with the cosignatures of witnesses; /tile/<L>/<N> are
    hashes, and /tile/entries/<N> the records. Whoever reaches the address can read all of it: only
    this machine can, unless --bind says otherwise. Put a proxy in front for TLS and logins.
    """
    where, ring = _one(logs), KeyRing.from_sources(list(keys))
    if not ring.keys:
        raise ConfigError("key", "is missing: what is served is checked against what it signed")
    service = TileService(lambda: open_reader(*where, ring=ring), ring, entries=not hashes_only)
    try:
        size = service.look()
    except (LookupError, CheckpointError) as error:
        complain(f"{error.args[0]}: audit-emit tiles build makes them")
        return Exit.NOTHING if isinstance(error, LookupError) else Exit.FINDINGS
    except ConfigError:
        raise
    except ValueError as error:
        complain(str(error))
        return Exit.NOTHING
    server = Server(bind, port, service.answer, failed=lambda error: complain(str(error)))
    served(server, f"{size} records at {server.url}/checkpoint")
    return Exit.OK


def _one(logs: tuple[str, ...]) -> tuple[str, ...]:
    found = grouped(logs)
    if len(found) > 1:
        raise click.UsageError("this is about one LOG at a time")
    return found[0] if found else (one_of(logs),)


def _done(logs: tuple[str, ...], keys: tuple[str, ...], form: str, *, make: bool) -> Exit:
    where, ring = _one(logs), KeyRing.from_sources(list(keys))
    verb, unit = ("building", "records") if make else ("checking", "tiles")
    try:
        with open_reader(*where, ring=ring) as reader, on_terminal(verb, unit) as bar:
            found = (build_tiles if make else look)(reader, ring, bar or (lambda *_: None))
    except CheckpointError as error:
        complain(str(error))
        return Exit.FINDINGS
    except LookupError as error:
        complain(f"{error.args[0]} are not here, and neither are the records")
        return Exit.FINDINGS
    except ConfigError:
        raise
    except ValueError as error:
        complain(str(error))
        return Exit.NOTHING
    status = _status(found)
    if form == "json":
        click.echo(json.dumps(_as_json(found, status), indent=2))
    else:
        _show(found)
    return status


def _status(found: Looked) -> Exit:
    if not found.directory:
        return Exit.NOTHING
    if found.wrong:
        return Exit.FINDINGS
    return Exit.OK if found.trusted else Exit.INCOMPLETE


def _as_json(found: Looked, status: Exit) -> dict[str, Any]:
    return {
        "exit_status": int(status),
        "directory": found.directory,
        "origin": found.checkpoint.origin,
        "records": found.checkpoint.head_seq,
        "root": found.checkpoint.root_hash,
        "trusted": found.trusted,
        "tiles": found.tiles,
        "wrong": [one._asdict() for one in found.wrong],
    }


def _show(found: Looked) -> None:
    one = found.checkpoint
    for wrong in found.wrong if found.directory else ():
        what = "is missing" if wrong.missing else "is not as it was signed"
        click.echo(f"{wrong.path} {what} (records {wrong.first_seq} to {wrong.last_seq})")
    if not found.directory:
        click.echo("there are no tiles: audit-emit tiles build makes them")
        return
    by = f"{one.sig_alg} key {one.key_id}" if found.trusted else "a key that was not given"
    click.echo(
        f"{found.tiles} tiles of {one.head_seq} records in {visible(found.directory)}/tile, "
        f"{len(found.wrong)} wrong; root {one.root_hash[:16]}…, signed with {by}"
    )


for _each in (build, check, serve):
    command.add_command(_each)
