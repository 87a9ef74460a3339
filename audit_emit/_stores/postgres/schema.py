"""The migrations: plain SQL in files, run in their order under one lock, with their checksums."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple

from audit_emit._settings.address import Address
from audit_emit._stores.postgres.driver import connect, failed, load
from audit_emit.errors import DatabaseError

LOCK = 0x6175_6469_745F_656D
"""The key of the advisory lock under which migrations run ("audit_em"); it ends with them."""

_FILE = re.compile(r"([0-9]{4})_([a-z_]+)[.]sql")
_NAMES = "SET LOCAL search_path = pg_catalog, pg_temp;\n"
"""For the rest of the transaction: a path of the database or the role that begins elsewhere would
have a function of somebody else called here, maybe by a superuser, and kept in a constraint."""

_AS_OWNER = """\
DO $$
DECLARE
  owner name := pg_catalog.pg_get_userbyid(
    (SELECT nspowner FROM pg_catalog.pg_namespace WHERE nspname = 'audit_emit'));
BEGIN
  IF owner <> current_user THEN
    EXECUTE pg_catalog.format('SET LOCAL ROLE %I', owner);
  END IF;
END
$$;
"""
"""What a migration makes belongs to the owner of the schema; the role is back after the commit."""


class Migration(NamedTuple):
    """One file of SQL."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The checksum that the database keeps."""
        return sha256(self.sql.encode()).hexdigest()

    def script(self) -> str:
        """What is run: as the owner, and with its own entry; to be sent in one transaction."""
        begin = _AS_OWNER if self.number > 1 else ""
        end = "" if self.number > 1 else _AS_OWNER
        entry = f"{self.number}, '{self.name}', '{self.sha256}'"
        into = "INSERT INTO audit_emit.migrations (number, name, sha256)"
        return f"{begin}{self.sql}{end}{into} VALUES ({entry});\n"


class State(NamedTuple):
    """What of the migrations a database has.

    Attributes:
        applied: the highest number that it has; 0 without the schema.
        known: the highest number that this build has.
        pending: those that are to be run.
        differing: those whose checksum in the database is another one.
        unknown: numbers that only a newer build has.
    """

    applied: int
    known: int
    pending: Sequence[Migration]
    differing: Sequence[Migration]
    unknown: Sequence[int]

    @property
    def is_current(self) -> bool:
        """Whether this build can work with the database."""
        return not self.pending and not self.differing


@cache
def migrations() -> tuple[Migration, ...]:
    """Those of this build, in their order."""
    found = []
    for file in files("audit_emit._stores.postgres").joinpath("migrations").iterdir():
        named = _FILE.fullmatch(file.name)
        if named is not None:
            text = file.read_text(encoding="utf-8")
            found.append(Migration(int(named[1]), named[2], text))
    return tuple(sorted(found))


def as_sql(after: int = 0, until: int | None = None) -> str:
    """The migrations with a number above ``after`` as one script for ``psql``."""
    wanted = [m for m in migrations() if after < m.number <= (until or m.number)]
    parts = [f"SELECT pg_catalog.pg_advisory_xact_lock({LOCK});\n"]
    parts += [f"-- Migration {m.number}: {m.name}\n{m.script()}RESET ROLE;\n" for m in wanted]
    return f"BEGIN;\n{_NAMES}" + "\n".join(parts) + "COMMIT;\n"


def state(connection: Any) -> State:
    """What this database has."""
    known = migrations()
    there: dict[int, str] = {}
    if connection.execute("SELECT to_regclass('audit_emit.migrations')").fetchone()[0] is not None:
        query = "SELECT number, sha256 FROM audit_emit.migrations ORDER BY number"
        there = dict(connection.execute(query).fetchall())
    numbers = {m.number for m in known}
    return State(
        max(there, default=0),
        known[-1].number,
        [m for m in known if m.number not in there],
        [m for m in known if there.get(m.number, m.sha256) != m.sha256],
        [number for number in there if number not in numbers],
    )


def refuse_unfit(found: State, address: Address) -> None:
    """Refuse a database that this build cannot write to, and say what to do.

    Raises:
        DatabaseError: it has no schema, an older one, or one with other migrations.
    """
    if not found.applied:
        raise DatabaseError(
            "no-schema", f"{address.shown} has no schema audit_emit: run audit-emit db migrate"
        )
    if not found.is_current:
        raise DatabaseError(
            "schema-behind" if found.pending else "migrations-differ",
            f"the schema in {address.shown} is at migration {found.applied} of {found.known}, or "
            "another one: run audit-emit db check, and audit-emit db migrate where it is behind",
        )


def look(address: Address) -> State:
    """What the database at this address has.

    Raises:
        DatabaseError: it cannot be asked.
    """
    with connect(address, name="audit_emit db") as connection:
        try:
            return state(connection)
        except load().Error as error:
            raise failed(error, address) from None


def migrate(address: Address, *, until: int | None = None) -> list[Migration]:
    """Run what is pending, all in one transaction, under the lock.

    Args:
        address: of a role that may create what is missing.
        until: the last number to run.

    Returns:
        Those that were run.

    Raises:
        DatabaseError: it could not be done, and nothing was; or the database has migrations that
            are not those of this build (``migrations-differ``).
    """
    psycopg = load()
    with connect(address, name="audit_emit db") as connection:
        try:
            with connection.transaction():
                connection.execute(_NAMES)
                connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
                found = state(connection)
                _refuse_others(found)
                wanted = [m for m in found.pending if m.number <= (until or m.number)]
                for migration in wanted:
                    connection.execute(migration.script().encode())
                    connection.execute("RESET ROLE")
        except psycopg.Error as error:
            raise failed(error, address) from None
    return wanted


def _refuse_others(found: State) -> None:
    if found.differing:
        names = ", ".join(str(m.number) for m in found.differing)
        raise DatabaseError(
            "migrations-differ",
            f"migration {names} of this database is not the one of this build: "
            "nothing was changed; find out who ran which",
        )
    if found.pending and found.pending[0].number < found.applied:
        raise DatabaseError(
            "migrations-differ",
            f"migration {found.pending[0].number} is missing below {found.applied}",
        )
