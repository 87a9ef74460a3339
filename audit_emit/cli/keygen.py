"""``audit-emit keygen``: a key for checkpoints."""

from __future__ import annotations

import os
from pathlib import Path

import click

from audit_emit._facade.files import naming, write_all
from audit_emit._facade.keys import Ed25519Key, HmacKey, private_pem
from audit_emit._facade.settings import settings
from audit_emit.cli._command import command as a_command
from audit_emit.cli._exit import Exit


@a_command(
    "keygen",
    {
        Exit.OK: "made",
        Exit.USAGE: "usage, or the file is there: a key is never overwritten",
        Exit.NOTHING: "the file cannot be written",
    },
    [
        "audit-emit keygen --origin audit.example.com/shop --out signing.pem >shop-verifier.txt",
        "audit-emit keygen --hmac --out signing.key",
    ],
)
@click.option("--hmac", is_flag=True, help="A shared HMAC-SHA256 key instead of an Ed25519 pair.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the key to this new file.")
@click.option("--origin", help="The log that it is for.  [default: AUDIT_EMIT_ORIGIN]")
def command(out: Path | None, origin: str | None, *, hmac: bool) -> Exit:
    """Make a key that signs checkpoints.

    With --out the key goes to a file that only its owner can read, and its public part to standard
    output: the verifier key of an Ed25519 pair, which is all that a verifier needs, or the id of an
    HMAC key. Without --out the key goes to standard output, and its public part to standard error.

    The full name of a log ends in the id of its chain, which is drawn with its first record. Once
    that exists, audit-emit vkey prints the verifier key under that name, for other C2SP programs.
    """
    seed = os.urandom(32)
    name = settings({"origin": origin}).log_origin
    if hmac:
        secret, told = seed.hex() + "\n", f"key id {HmacKey(seed).key_id(name)}"
    else:
        secret, told = private_pem(seed), Ed25519Key.from_seed(seed).to_vkey(name)
    if out is None:
        click.echo(secret, nl=False)
    else:
        _write(out, secret)
    click.echo(told, err=out is None)
    return Exit.OK


def _write(path: Path, secret: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        raise click.UsageError(f"{path} exists, and a key is never overwritten") from None
    try:
        with naming(str(path)):
            write_all(descriptor, secret.encode())
            os.fsync(descriptor)
    except BaseException:
        os.unlink(path)  # a part of a key, which would keep the next run from writing a whole one
        raise
    finally:
        os.close(descriptor)
