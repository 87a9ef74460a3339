"""``audit-emit vkey``: the verifier key of a log, under the name that its notes are signed with."""

from __future__ import annotations

import json

import click

from audit_emit._facade.keys import Ed25519Key
from audit_emit.cli._command import command as a_command
from audit_emit.cli._command import complain
from audit_emit.cli._exit import Exit
from audit_emit.cli._keys import origin_option, signing_keys
from audit_emit.cli._logs import logs_argument, named
from audit_emit.cli._output import formats
from audit_emit.cli._signer import active, emitter_of
from audit_emit.errors import ConfigError
from audit_emit.log import AuditLog, KeyRing


@a_command(
    "vkey",
    {
        Exit.OK: "printed",
        Exit.USAGE: "usage, no key, or one that has no verifier key (HMAC)",
        Exit.NOTHING: "there is no log, or no record in it yet",
    },
    ["audit-emit vkey /var/log/audit-emit/shop --key signing.pem --out shop-verifier.txt"],
)
@logs_argument
@signing_keys
@origin_option
@formats("text", "json")
def command(logs: tuple[str, ...], keys: tuple[str, ...], origin: str | None, form: str) -> Exit:
    """Print the verifier key of a log, with which others verify its signed notes.

    LOG is a log's directory or its active file; without it, the log that this environment
    configures. With several there is one line for each.

    It is a C2SP verifier key under the log's full name, ORIGIN/CHAIN. Its id is the one that
    checkpoints and verify show. The log must have a record, since the id of its chain is drawn with
    the first one.
    """
    found = named(logs)
    ring = KeyRing.from_sources(list(keys))
    if not ring.keys:
        raise ConfigError("key", "is missing: --key FILE, or AUDIT_EMIT_SIGNING_KEY_FILE")
    key = ring.keys[-1]
    if not isinstance(key, Ed25519Key):
        raise ConfigError("key", "is a shared key (HMAC), and others cannot verify with that")
    names = {log: _name(log, key, origin) for log in found}
    if form == "json":
        listed = [
            {"log": log, "vkey": key.to_vkey(name) if name else None} for log, name in names.items()
        ]
        click.echo(json.dumps(listed[0] if len(listed) == 1 else listed, indent=2))
    for log, name in names.items():
        if not name:
            complain(
                f"{log} has no record yet, so its name has no chain yet: record an event first"
            )
        elif form == "text":
            click.echo(key.to_vkey(name))
    return Exit.OK if all(names.values()) else Exit.NOTHING


def _name(log: str, key: Ed25519Key, origin: str | None) -> str:
    """The full name of a log; empty while it has no record.

    Raises:
        ConfigError: the key is for another log.
    """
    file = active(log)
    emitter = emitter_of(file, origin, stdout=False)
    name = emitter.settings.log_origin
    emitter.close()
    head = AuditLog(str(file), KeyRing()).head()
    if head is None:
        return ""
    if key.key_id(f"{name}/{head.chain}") is None:
        raise ConfigError("key", f"is meant for {key.name}, not for {name}; see --origin")
    return f"{name}/{head.chain}"
