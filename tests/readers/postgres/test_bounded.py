"""What somebody made longer than any record has a finding, and does not come whole."""

from __future__ import annotations

import tracemalloc

import pytest
from support.postgres_records import drafts, only_chain
from support.postgres_server import Database

from audit_emit._readers.opening import open_readers
from audit_emit._settings.address import Address
from audit_emit._stores.postgres.chains import Chains
from audit_emit._verify.findings import Report
from audit_emit._verify.verify import verify_log

MANY = 16 << 20
"""Bytes that somebody put where a record has a few hundred."""


@pytest.fixture
def filled(audited: Database) -> Database:
    writer = Chains(Address(audited.as_user("the_writer")), service="shop")
    writer.append(drafts(20))
    writer.close()
    chain = only_chain(audited)
    audited.run(f"SELECT audit_emit.add_checkpoint('{chain}', 1, '{{\"v\":1}}')")
    return audited


def verified(database: Database) -> tuple[Report, int]:
    """The verdict, and the most memory that Python had for it."""
    (reader,) = open_readers([database.as_user("the_reader")])
    tracemalloc.start()
    try:
        with reader:
            report = verify_log(reader).report
        return report, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (f"records SET line = repeat('x', {MANY}) WHERE seq = 5", f"row 5 has {MANY} bytes"),
        (f"records SET line = line || repeat('x', {MANY}) WHERE seq = 20", "row 20 has"),
        (f"records SET user_id = repeat('x', {MANY}) WHERE seq = 5", "column user_id of row 5"),
        (f"records SET hash = repeat('x', {MANY})::bytea WHERE seq = 5", "column hash of row 5"),
        (f"heads SET ts = repeat('x', {MANY})", ""),
        (f"heads SET kind = repeat('x', {MANY})", ""),
        (f"checkpoints SET line = repeat('x', {MANY})", f"{MANY} bytes"),
    ],
)
def test_what_is_far_too_long_is_told_and_does_not_come_whole(
    filled: Database, changes: str, told: str
) -> None:
    usual = verified(filled)[1]
    filled.run(
        "SET session_replication_role = replica; DROP INDEX audit_emit.records_user; "
        "ALTER TABLE audit_emit.heads DROP CONSTRAINT heads_kind_check; "
        f"UPDATE audit_emit.{changes}"
    )
    report, most = verified(filled)
    notes = " ".join(finding.note for finding in report.findings)
    assert told in notes
    assert most < usual + MANY // 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ("hash = NULL", "heads says that record 20 has the hash : "),
        ("seq = NULL", "says that it is 0"),
    ],
)
def test_what_somebody_took_out_of_the_head_of_a_chain_is_told(
    filled: Database, changes: str, told: str
) -> None:
    column = changes.partition(" ")[0]
    filled.run(
        "SET session_replication_role = replica; "
        f"ALTER TABLE audit_emit.heads ALTER {column} DROP NOT NULL; "
        f"UPDATE audit_emit.heads SET {changes}"
    )
    assert told in " ".join(finding.note for finding in verified(filled)[0].findings)
