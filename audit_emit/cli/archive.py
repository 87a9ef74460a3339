"""``audit-emit archive``: bring closed segments into an object store, prove and restore them."""

from __future__ import annotations

import click

from audit_emit.cli._archive_holds import hold, release
from audit_emit.cli._archive_parquet import parquet
from audit_emit.cli._archive_prune import prune
from audit_emit.cli._archive_restore import restore
from audit_emit.cli._archive_run import run, status
from audit_emit.cli._archive_verify import verify


@click.group("archive")
def command() -> None:
    """Archive logs in an object store (S3), prove what is there, and bring it back.

    The archive is s3://bucket/prefix (--archive, or AUDIT_EMIT_ARCHIVE_URL). boto3 finds the
    credentials where it always looks for them; audit-emit has no settings for them. docs/archive.md
    has a policy for the bucket, and says what Object Lock makes irrevocable.
    """


command.add_command(run)
command.add_command(status)
command.add_command(verify)
command.add_command(restore)
command.add_command(hold)
command.add_command(release)
command.add_command(prune)
command.add_command(parquet)
