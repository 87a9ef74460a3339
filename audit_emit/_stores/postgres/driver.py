"""The connection: psycopg, imported when it is needed, and what its errors mean in one word."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from audit_emit._settings.address import Address
from audit_emit.errors import ConfigError, DatabaseError

if TYPE_CHECKING:
    from psycopg import Connection

CONNECT_SECONDS = 5
"""How long one attempt to connect may take; libpq counts whole seconds, and at least two."""

_SILENCE_MS = 30_000
"""How long sent bytes may stay unacknowledged before the connection counts as dead."""

AWAY = "database-away"
REASONS = {
    "28P01": "database-login",
    "28000": "database-login",
    "3D000": "no-database",
    "3F000": "no-schema",
    "42P01": "no-schema",
    "42883": "no-schema",
    "42501": "not-permitted",
    "53100": "database-full",
    "53200": "database-memory",
    "53300": "too-many-connections",
    "25006": "read-only",
    "57014": "database-timeout",
    "55P03": "chain-locked",
    "40001": "serialization",
    "40P01": "deadlock",
    "23514": "not-linked",
}
"""What an SQLSTATE means for an append, as one word; see docs/postgresql.md."""


_AT_LOGIN = (
    (
        re.compile(r"authentication failed|no password supplied|pg_hba\.conf|role .* does not exist"
                   r"|no such user|not permitted to log in"),
        "database-login",
    ),
    (re.compile(r"database .* does not exist|no such database"), "no-database"),
    (re.compile(r"too many (clients|connections)|connection slots"), "too-many-connections"),
    (re.compile(r"permission denied for database"), "not-permitted"),
)  # fmt: skip
"""Messages of a server that refuses a connection: libpq has only the text then, no SQLSTATE."""

_GONE = ("08", "57P", "25P03", "25P04")
"""What the SQLSTATE of a connection begins with that the server has ended, or is about to: it shuts
down, or a time limit of a session or a transaction has passed."""

_PATH = "SELECT pg_catalog.current_setting('search_path')"
_SERVERS_FIRST = re.compile(r'(pg_temp, *|"pg_temp", *)?(pg_catalog|"pg_catalog") *(,|\Z)')
"""A path that begins with the server's own schema; no functions are looked for in ``pg_temp``."""

_OWN_PATH = "-c search_path=pg_catalog,pg_temp"

_OF_ALL_CHAINS = frozenset(
    {AWAY, "not-replicated", "schema-behind", "migrations-differ", "not-utf8", "search-path",
     *REASONS.values()}
) - {"chain-locked", "serialization", "deadlock", "not-linked"}  # fmt: skip


def may_be_of_one_chain(reason: str) -> bool:
    """Whether an append to another chain may work all the same."""
    return reason not in _OF_ALL_CHAINS


def load() -> Any:
    """The module psycopg.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import psycopg  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError(
            "store", f"PostgreSQL needs the extra audit-emit[postgres] ({_why(error)})"
        ) from None
    return psycopg


def _why(error: ImportError) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == "psycopg":
        return "psycopg is not installed"
    return "libpq is missing: psycopg[binary] has it" if "libpq" in str(error) else str(error)


def check(address: Address, setting: str = "store") -> None:
    """See whether libpq can read an address, without connecting.

    Raises:
        ConfigError: it cannot. What libpq says is not repeated: it may be a part of a password.
    """
    psycopg = load()
    try:
        psycopg.conninfo.conninfo_to_dict(address.conninfo())
    except psycopg.Error:
        raise ConfigError(
            setting,
            "cannot be read by libpq: a parameter after ? that it does not know, a port that is no "
            "number, or a % that is none of an escape",
        ) from None


def connect(
    address: Address,
    *,
    name: str = "audit_emit",
    seconds: float = CONNECT_SECONDS,
    on_notice: Callable[[Any], None] | None = None,
) -> Connection[tuple[Any, ...]]:
    """A connection without a transaction of its own (autocommit).

    Nothing of the session is set, and nothing is prepared: behind a pooler that gives each
    transaction another session, both would reach strangers.

    Raises:
        DatabaseError: no connection was made.
        ConfigError: psycopg is missing, or the address cannot be read.
    """
    psycopg = load()
    try:
        connection = _opened(address, name, seconds)
        if _lends_functions(connection):
            connection = _reopened(connection, address, name, seconds)
    except psycopg.Error as error:
        raise failed(error, address) from None
    # Of the transactions that are begun here; nothing is sent now.
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    if on_notice is not None:
        connection.add_notice_handler(on_notice)
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        connection.close()
        raise DatabaseError(
            "not-utf8", f"the database has the encoding {encoding}, and a record needs UTF8"
        )
    return connection


def _opened(
    address: Address, name: str, seconds: float, **parameters: str
) -> Connection[tuple[Any, ...]]:
    """A connection as libpq makes it.

    Raises:
        psycopg.Error: there is none.
    """
    connection: Connection[tuple[Any, ...]] = load().connect(
        address.conninfo(),
        autocommit=True,
        prepare_threshold=None,
        client_encoding="UTF8",
        application_name=name,
        connect_timeout=max(2, int(seconds)),
        tcp_user_timeout=_SILENCE_MS,
        **parameters,
    )
    return connection


def _lends_functions(connection: Connection[tuple[Any, ...]]) -> bool:
    """Whether names of functions and operators are looked for elsewhere before ``pg_catalog``.

    Who may set the search_path of a database or a role could then have a function of his own called
    in place of the server's, and it would tell a verifier what he likes. Where the path does not
    name ``pg_catalog``, the server looks there first.
    """
    row = connection.execute(_PATH).fetchone()
    path = row[0] if row else ""
    # No name is parsed: one in quotes may have commas and blanks, one without them any case.
    return "pg_catalog" in path.lower() and _SERVERS_FIRST.match(path) is None


def _reopened(
    connection: Connection[tuple[Any, ...]], address: Address, name: str, seconds: float
) -> Connection[tuple[Any, ...]]:
    """The same connection with a path of its own, which wins over that of the database or the role.

    It is asked for as the connection is made: what is set later would reach strangers behind a
    pooler, and a pooler that passes nothing on refuses it.

    Raises:
        DatabaseError: it is not to be had.
    """
    options = f"{connection.info.options} {_OWN_PATH}".strip()
    close(connection)
    try:
        made = _opened(address, name, seconds, options=options)
        if not _lends_functions(made):
            return made
        close(made)
    except load().Error as error:
        if "unsupported startup parameter" not in str(error):
            raise
    raise DatabaseError(
        "search-path",
        f"{address.shown}: the search_path of this database or role puts other schemas before "
        "pg_catalog, so that their functions would be called for the server's, and no other one "
        "can be asked for here (behind a pooler): ALTER DATABASE or ALTER ROLE … RESET search_path",
    )


def reason_of(error: BaseException) -> str:
    """One word for what went wrong."""
    state = getattr(error, "sqlstate", None)
    if state is None:
        said = str(error)
        return next((reason for words, reason in _AT_LOGIN if words.search(said)), AWAY)
    if state.startswith(_GONE):
        return AWAY
    return REASONS.get(state, f"database-{state}")


def failed(error: BaseException, address: Address, *, unknown: bool = False) -> DatabaseError:
    """An error of psycopg as one of ours; what it says of the address is without the password."""
    reason = reason_of(error)
    said = getattr(getattr(error, "diag", None), "message_primary", None)
    if said is None:
        # libpq names the server and the user, never the password; what it could not read at all
        # (a wrong escape, a port that is none) it repeats, and that may be a part of it.
        # Lines that are indented only ask whether the server runs.
        text = [line for line in str(error).split("\n") if line.strip() and not line[0].isspace()]
        readable = text and type(error).__name__ != "ProgrammingError"
        said = text[-1] if readable else "the address cannot be read by libpq"
    return DatabaseError(reason, f"{address.shown}: {_hidden(said, address)}", unknown=unknown)


def _hidden(said: str, address: Address) -> str:
    """Without the password, should anybody repeat it."""
    with contextlib.suppress(Exception):
        password = load().conninfo.conninfo_to_dict(address.conninfo()).get("password")
        if password:
            said = said.replace(str(password), "…")
    return said


@contextlib.contextmanager
def pipelined(connection: Any) -> Iterator[Any]:
    """A pipeline of psycopg, whose first error is raised and is the only one.

    psycopg logs the error of a pipeline that it leaves with an error already: one lost connection
    would then also be a warning of psycopg on standard error, besides the exception.

    Raises:
        psycopg.Error: what went wrong first.
    """
    failure = load().Error
    first: BaseException | None = None
    try:
        with connection.pipeline() as pipeline:
            try:
                yield pipeline
            except failure as error:
                first = error
    except failure as error:
        first = first or error
    if first is not None:
        raise first


def leave(connection: Any) -> None:
    """Give up a connection of the parent's in a forked child, without a word to the server."""
    with contextlib.suppress(Exception):
        # psycopg ends no connection that another process made; its descriptor is only a copy.
        os.close(connection.fileno())


def close(connection: Any) -> None:
    """Close, whatever state the connection is in."""
    with contextlib.suppress(Exception):
        connection.close()
