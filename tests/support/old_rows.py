"""Rows of a chain in PostgreSQL that are of a month that is long over."""

from __future__ import annotations

from support.postgres_records import drafts
from support.postgres_server import Database

from audit_emit._settings.address import Address
from audit_emit._stores.postgres.chains import Chains

FREELY = "SET session_replication_role = replica; "
"""Before statements that the triggers of the schema would refuse."""


def append(database: Database, many: int, service: str = "shop") -> None:
    """Records of a service."""
    writer = Chains(Address(database.as_user("the_writer")), service=service)
    writer.append(drafts(many, service=service))
    writer.close()


def make_older(database: Database, last: int = 2**62) -> None:
    """Let all that is there be of a month that is long over, in a partition of its own.

    Args:
        last: the number of the last record that is.
    """
    database.run("CREATE TABLE audit_emit.records_202001 (LIKE audit_emit.records)")
    database.run(
        FREELY
        + f"WITH gone AS (DELETE FROM audit_emit.records WHERE seq <= {last} RETURNING *) "
        + "INSERT INTO audit_emit.records_202001 SELECT * FROM gone; "
        + "UPDATE audit_emit.records_202001 SET sealed_on = '2020-01-31'; "
        + "ALTER TABLE audit_emit.records_202001 OWNER TO audit_emit_owner; "
        + "ALTER TABLE audit_emit.records ATTACH PARTITION audit_emit.records_202001 "
        + "FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')"
    )
