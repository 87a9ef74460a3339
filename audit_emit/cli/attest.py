"""``audit-emit attest``: a signed statement about some records, which others' tools understand."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import click

from audit_emit._facade.attestations import Wanted, attest, range_of
from audit_emit._facade.queries import open_reader
from audit_emit._facade.records import ts_of
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import command as a_command
from audit_emit.cli._command import complain
from audit_emit.cli._demands import cores
from audit_emit.cli._exit import Exit
from audit_emit.cli._keys import signing_keys
from audit_emit.cli._logs import logs_argument, one_of
from audit_emit.cli._output import kept
from audit_emit.cli._policy import policy_option
from audit_emit.cli._times import EXAMPLES, time_option
from audit_emit.errors import CheckpointError, ConfigError, UnsupportedError
from audit_emit.log import KeyRing


@a_command(
    "attest",
    {
        Exit.OK: "signed",
        Exit.FINDINGS: "the log does not verify, or the key was replaced",
        Exit.USAGE: "usage, or no key that can sign",
        Exit.NOTHING: "there are no such records, or no log",
        Exit.INCOMPLETE: "no checkpoint covers them yet",
        Exit.NO_ANSWER: "the key service or the token did not sign",
    },
    [
        "audit-emit attest --from 301 --to 1400 --key signing.pem --out run.att.json",
        "audit-emit attest --correlation 0190a1b2 --policy agent.yaml --key signing.pem --bundle",
        "audit-emit attest /var/log/audit-emit/shop --since yesterday --until today",
    ],
)
@logs_argument
@click.option("--from", "first", type=click.IntRange(1), metavar="SEQ", help="The first record.")
@click.option("--to", "last", type=click.IntRange(1), metavar="SEQ", help="The last record.")
@click.option("--correlation", default="", metavar="ID", help="Only those of one request or run.")
@click.option("--since", callback=time_option, metavar="TIME", help=f"From here on: {EXAMPLES}.")
@click.option("--until", callback=time_option, metavar="TIME", help="Up to this time.")
@policy_option("The policy that an agent worked under: its SHA-256 is attested.")
@click.option("--bundle", is_flag=True, help="A Sigstore bundle (v0.3) around the envelope.")
@signing_keys
@kept
def command(
    logs: tuple[str, ...],
    keys: tuple[str, ...],
    *,
    first: int | None,
    last: int | None,
    correlation: str,
    since: str,
    until: str,
    policy: str,
    bundle: bool,
) -> Exit:
    """Sign a statement about some records of a LOG: which they are, and their counts and hashes.

    It is an in-toto statement in a DSSE envelope, signed with the key of the checkpoints; cosign
    and other tools verify it. By default it is about all records up to the newest checkpoint.
    The log is verified first. The statement has counts, hashes and names of event types; of fields
    it has only an agent's model and platform.

    audit-emit verify-attestation checks every part of it against a log.
    """
    chosen = [bool(first or last), bool(correlation), bool(since or until)]
    if sum(chosen) > 1:
        raise click.UsageError("--from/--to, --correlation and --since/--until exclude each other")
    if first and last and first > last:
        raise click.UsageError(f"there is nothing from {first} to {last}")
    ring = KeyRing.from_sources(list(keys))
    if not ring.keys:
        raise ConfigError("key", "is missing: --key FILE, or AUDIT_EMIT_SIGNING_KEY_FILE")
    opened = partial(open_reader, one_of(logs))
    with _told() as status:
        wanted = Wanted(first or 1, last or 0, correlation)
        if since or until:
            with opened() as reader:
                wanted = Wanted(*range_of(reader, since, until))
        at = ts_of(time.time_ns())
        with on_terminal("reading") as bar:
            made = attest(opened, ring, wanted, at=at, policy=policy, jobs=cores(), progress=bar)
        click.echo(json.dumps(made.to_bundle() if bundle else made.to_dict()))
    return status[0]


@contextmanager
def _told() -> Iterator[list[Exit]]:
    """Print why something cannot be attested; the one member of the list is the exit status."""
    status = [Exit.OK]
    try:
        yield status
    except CheckpointError as error:
        complain(f"nothing was attested: {error}")
        status[0] = Exit.FINDINGS
    except LookupError as error:
        complain(str(error.args[0]))
        status[0] = Exit.NOTHING
    except ConfigError:
        raise
    except UnsupportedError as error:
        raise click.UsageError(str(error)) from None
    except ValueError as error:
        complain(f"nothing was attested: {error}")
        status[0] = Exit.INCOMPLETE
