"""The connection, and what errors of the server mean."""

from __future__ import annotations

import psycopg
import pytest
from support.postgres_records import drafts
from support.postgres_server import Database, pgbouncer
from support.waiting import until

from audit_emit._settings.address import Address
from audit_emit._stores.postgres import driver
from audit_emit._stores.postgres.chains import Chains
from audit_emit._verify.verify import verify_paths
from audit_emit.errors import DatabaseError


@pytest.fixture
def shadowed(audited: Database) -> Database:
    """A changed ``id``, and a path to a function that tells the former one."""
    writer = Chains(Address(audited.as_user("the_writer")), service="shop")
    writer.append(drafts(5))
    writer.close()
    ((before,),) = audited.run("SELECT id::text FROM audit_emit.records WHERE seq = 3")
    other = "00000000-0000-7000-8000-000000000000"
    audited.run(
        "SET session_replication_role = replica; "
        f"UPDATE audit_emit.records SET id = '{other}' WHERE seq = 3; CREATE SCHEMA other; "
        "GRANT USAGE ON SCHEMA other TO PUBLIC; "
        "CREATE FUNCTION other.uuid_send(found uuid) RETURNS bytea LANGUAGE sql AS $$ "
        "SELECT pg_catalog.uuid_send(CASE WHEN found OPERATOR(pg_catalog.=) "
        f"'{other}' THEN '{before}' ELSE found END) $$; "
        f"ALTER DATABASE {audited.name} SET search_path = other, pg_catalog"
    )
    return audited


def test_a_path_of_the_database_lends_a_verifier_no_function_of_somebody_else(
    shadowed: Database,
) -> None:
    (found,) = verify_paths([shadowed.as_user("the_reader")])
    assert "column id of row 3" in " ".join(finding.note for finding in found.report.findings)


def test_a_pooler_that_passes_no_path_on_is_told_why_it_is_refused(shadowed: Database) -> None:
    with pgbouncer(shadowed.server) as port:
        address = Address(shadowed.as_user("the_reader", port))
        with pytest.raises(DatabaseError, match="RESET search_path") as refused:
            driver.connect(address)
    assert refused.value.reason == "search-path"


@pytest.mark.parametrize(
    ("path", "lends"),
    [
        ("'$user', public", False),
        ("pg_temp, pg_catalog, public", False),
        ("public", False),
        ("public, pg_catalog", True),
        ("pg_temp, public, pg_catalog", True),
        ('"pg_catalog", public', False),
        ('"pg_catalog,x", public, pg_catalog', True),
        ('"pg_catalog ", public, pg_catalog', True),
        ('"PG_CATALOG", public, pg_catalog', True),
    ],
)
def test_only_what_stands_before_the_servers_own_schema_lends_functions(
    database: Database, path: str, *, lends: bool
) -> None:
    database.run(f"ALTER DATABASE {database.name} SET search_path = {path}")
    with driver.connect(Address(database.url)) as connection:
        row = connection.execute("SHOW search_path").fetchone()
        assert row is not None
        assert (row[0] == "pg_catalog,pg_temp") == lends


@pytest.mark.parametrize("path", ["public, PG_CATALOG", "public,\tpg_catalog"])
def test_a_path_that_is_spelled_as_no_command_spells_it_lends_functions(
    database: Database, path: str
) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("SELECT set_config('search_path', %s, false)", [path])
        connection.execute(f"ALTER DATABASE {database.name} SET search_path FROM CURRENT")
    with driver.connect(Address(database.url)) as connection:
        assert connection.execute("SHOW search_path").fetchone() == ("pg_catalog,pg_temp",)


def test_a_session_that_a_time_limit_of_the_server_ended_is_a_database_away(
    audited: Database,
) -> None:
    audited.run(f"ALTER DATABASE {audited.name} SET idle_in_transaction_session_timeout = 10")
    alive = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'idle for long'"
    with driver.connect(Address(audited.url), name="idle for long") as connection:
        connection.execute("BEGIN")
        until(lambda: audited.run(alive) == [(0,)])
        with pytest.raises(psycopg.Error) as ended:
            connection.execute("SELECT 1")
    assert ended.value.sqlstate == "25P03"
    assert driver.reason_of(ended.value) == driver.AWAY
