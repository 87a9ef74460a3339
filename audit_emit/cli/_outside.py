"""Bringing a checkpoint to witnesses and anchors after it was signed, and printing the result."""

from __future__ import annotations

import click

from audit_emit._facade.signing import Outside
from audit_emit._facade.text import visible
from audit_emit._facade.witnesses import finding_of
from audit_emit.cli._command import complain
from audit_emit.cli._exit import Exit


def brought(outside: Outside) -> Exit:
    """Bring the newest checkpoint outside now, if anybody is configured, and say how it went.

    A witness that does not answer is reported, and is no failure: the checkpoint is made. One that
    has cosigned another history is a finding.
    """
    if outside.error:
        complain(outside.error)
    if not outside.is_configured:
        return Exit.INCOMPLETE if outside.error else Exit.OK
    done = outside.bring()
    if done.error:
        complain(f"the checkpoint was brought nowhere: {done.error}")
        return Exit.INCOMPLETE
    for name, attempt in done.witnesses.items():
        if attempt.state == "cosigned":
            click.echo(f"cosigned by {visible(name)}: {attempt.cosigned_size} records")
            if attempt.note:
                complain(f"witness {name}: {attempt.note}")
        elif attempt.is_finding:
            complain(f"witness {name}: {finding_of(attempt)}")
        else:
            complain(f"witness {name} did not cosign: {attempt.note}")
    for place, what in done.anchors.items():
        if what:
            complain(f"{place} has not got the checkpoint: {what}")
        else:
            click.echo(f"anchored at {visible(place)}: {done.size} records")
    found = any(attempt.is_finding for attempt in done.witnesses.values())
    return Exit.FINDINGS if found else Exit.OK
