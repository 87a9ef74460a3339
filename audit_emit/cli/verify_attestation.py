"""``audit-emit verify-attestation``: does a log agree with what was attested about it?"""

from __future__ import annotations

import json
import sys
from functools import partial

import click

from audit_emit._facade.attestations import MAX_BYTES, Checked, check_attestation
from audit_emit._facade.queries import open_reader
from audit_emit._facade.text import visible
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import command as a_command
from audit_emit.cli._command import complain
from audit_emit.cli._demands import cores
from audit_emit.cli._exit import Exit
from audit_emit.cli._keys import pinned_keys
from audit_emit.cli._logs import logs_argument, one_of
from audit_emit.cli._output import formats
from audit_emit.cli._policy import policy_option
from audit_emit.cli._streams import decided
from audit_emit.errors import UnsupportedError
from audit_emit.log import KeyRing

EXITS = {"ok": Exit.OK, "mismatch": Exit.FINDINGS, "key-unavailable": Exit.INCOMPLETE}
_LONGEST = 200


@a_command(
    "verify-attestation",
    {
        Exit.OK: "signed, and the log says the same",
        Exit.FINDINGS: "forged, or the log says otherwise",
        Exit.USAGE: "",
        Exit.NOTHING: "there is no attestation in the file, or no log",
        Exit.INCOMPLETE: "there is no key to check it with",
    },
    ["audit-emit verify-attestation run.att.json /var/log/audit-emit/shop --key shop-verifier.txt"],
)
@click.argument("file", metavar="FILE", type=click.Path(readable=False, allow_dash=True))
@logs_argument
@policy_option("The policy that the attestation must name.")
@pinned_keys
@formats("text", "json")
def command(
    file: str, logs: tuple[str, ...], keys: tuple[str, ...], *, policy: str, form: str
) -> Exit:
    """Check the attestation in a FILE against a LOG: its signature, and every value in it.

    FILE is the output of audit-emit attest, with or without --bundle; - is standard input. You name
    the log and the keys: nothing in the file decides what is opened. The log is verified, too.
    """
    ring = KeyRing.from_sources(list(keys))
    if file == "-":
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        with open(file, "rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    log = partial(open_reader, one_of(logs))
    try:
        with on_terminal("reading") as bar:
            checked = check_attestation(data, log, ring, policy=policy, jobs=cores(), progress=bar)
    except UnsupportedError as error:
        raise click.UsageError(str(error)) from None
    except ValueError as error:
        complain(f"{file}: {error}")
        return Exit.NOTHING
    status = decided(EXITS[checked.verdict])
    if form == "json":
        click.echo(json.dumps(_as_dict(checked)))
    else:
        _show(checked)
    return status


def _as_dict(checked: Checked) -> dict[str, object]:
    return {
        "verdict": checked.verdict,
        "why": checked.why,
        "key_id": checked.key_id,
        "differences": [one._asdict() for one in checked.differences],
        "statement": checked.statement,
    }


def _show(checked: Checked) -> None:
    if checked.verdict != "ok":
        yet = " yet" if checked.verdict == "key-unavailable" else ""
        click.echo(f"not verified{yet}: {visible(checked.why)}")
        for one in checked.differences:
            click.echo(f"  {visible(one.member)}: attested {_cut(one.attested)}")
            click.echo(f"  {'':{len(visible(one.member))}}  the log {_cut(one.log)}")
        if checked.verdict == "key-unavailable":
            click.echo(f"it names {visible(checked.key_id)}; name a key with --key")
        return
    said = checked.statement["predicate"]
    click.echo(
        f"verified: {said['records']} records, {said['firstSeq']} to {said['lastSeq']} of "
        f"{said['origin']}, from {said['firstTime']} to {said['lastTime']}"
    )
    click.echo(f"signed by {checked.key_id}, over the checkpoint of {said['checkpoint']['size']}")
    for name in ("findings", "eventTypes", "outcomes", "agent", "policy"):
        if said.get(name):
            click.echo(f"{name}: {_cut(json.dumps(said[name]))}")


def _cut(text: str) -> str:
    shown = visible(text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
