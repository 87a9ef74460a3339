"""``audit-emit verify``: was the log touched, and is all of it there?"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from audit_emit._facade.verdicts import Options, Verified, remembered, verify_paths
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import command as a_command
from audit_emit.cli._command import complain
from audit_emit.cli._demands import demands
from audit_emit.cli._exit import Exit, worst
from audit_emit.cli._logs import logs_argument, named, not_there
from audit_emit.cli._output import formats
from audit_emit.cli._streams import decided
from audit_emit.cli._verdict import show
from audit_emit.errors import MemoryFileError, UnsupportedError


@a_command(
    "verify",
    {
        Exit.OK: "it holds",
        Exit.FINDINGS: "tampered with",
        Exit.USAGE: "",
        Exit.NOTHING: "nothing there, or it cannot be read",
        Exit.INCOMPLETE: "not complete: a torn end, a declared gap, a missing key",
    },
    [
        "audit-emit verify /var/log/audit-emit/shop --key shop-verifier.txt",
        "audit-emit verify --expect-head 4711:9f2c… --json --out verdict.json",
        "zcat archive/*.gz | audit-emit verify -",
    ],
)
@logs_argument
@formats("text", "json")
@demands
def command(logs: tuple[str, ...], *, form: str, options: Options, remember: Path | None) -> Exit:
    """Verify logs: every hash, every link, every checkpoint, and that nothing is missing.

    LOG is a log's directory or its active file, with all segments beside it; or single segments,
    also packed (.gz, .zst); or - for standard input. Without LOG, the log that this environment
    configures.

    Keys are pinned with --key, or taken from AUDIT_EMIT_SIGNING_KEY and
    AUDIT_EMIT_SIGNING_KEY_FILE; never from the log. If a log changed from one Ed25519 key to
    another (checkpoint --rotate-to), the first one is enough; HMAC keys must all be given. Without
    a key no signature is checked, and the status is 4. With one, a signature must be near the end
    of the log: records after the last signature could be from anybody who can write the file.
    """
    with on_terminal("verifying") as bar:
        try:
            found = verify_paths(named(logs), options._replace(progress=bar))
            if remember is not None:
                found = [remembered(one, remember) for one in found]
        except (UnsupportedError, MemoryFileError) as error:
            raise click.UsageError(str(error)) from None
        except FileNotFoundError as error:
            raise not_there(str(error.filename)) from None
    status = decided(worst(verified.report.exit_status for verified in found))
    if form == "json":
        click.echo(json.dumps(_as_json(found), indent=2))
    else:
        for verified in found:
            show(verified, options.ring)
    for verified in found:
        if not verified.files and os.path.isdir(verified.log):
            complain(not_there(verified.log).message)
    return status


def _as_json(found: list[Verified]) -> dict[str, Any]:
    logs = [
        {"log": one.log, "files": one.files, **one.report.as_dict(), **_edge_of(one)}
        for one in found
    ]
    status = int(worst(one.report.exit_status for one in found))
    return logs[0] if len(logs) == 1 else {"exit_status": status, "logs": logs}


def _edge_of(verified: Verified) -> dict[str, Any]:
    """Where the archive ends and the disk begins, if a part of the log is in an archive."""
    if verified.edge is None:
        return {}
    hot, cold = verified.edge.oldest_hot_seq, verified.edge.highest_archived_seq
    return {"archive": {"oldest_hot_seq": hot, "highest_archived_seq": cold}}
