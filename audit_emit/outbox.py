"""The record in the same transaction as the change: both are there, or neither is.

    from audit_emit.outbox import emit_in

    with psycopg.connect(...) as connection:
        connection.execute("UPDATE secrets SET …")
        emit_in(connection, None, "secret.set", {"key": "STRIPE_LIVE_KEY"})

The record is put into ``audit_emit.outbox`` through the caller's own connection. A sealer
(``audit-emit seal --follow``, or ``start_sealer`` in the service) links it into the service's chain
in PostgreSQL soon after the commit. docs/postgresql.md describes the
guarantees.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from audit_emit._core.default import get_emitter
from audit_emit._core.emitter import Emitter
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.forks import renew
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.threads import prepare_exit
from audit_emit._settings.address import Address
from audit_emit._stores.base import Part
from audit_emit._stores.postgres.driver import reason_of
from audit_emit._stores.postgres.rows import project
from audit_emit._stores.postgres.sealing import SealerThread
from audit_emit.context import GivenContext
from audit_emit.errors import AuditError

__all__ = ["OutboxReceipt", "aemit_in", "emit_in", "start_sealer"]

_INSERT = "INSERT INTO audit_emit.outbox (service, tenant, unlinked) VALUES ({}, {}, {})"
_PSYCOPG = _INSERT.format("%s", "%s", "%s")
_SQLALCHEMY = _INSERT.format(":service", ":tenant", ":unlinked")
_DRIVERS = ("psycopg", "sqlalchemy", "django")


class OutboxReceipt(msgspec.Struct, frozen=True):
    """A record that is in the outbox if the caller's transaction commits.

    It has no place in the chain yet: its sealer gives it one, and keeps its ``id``.

    Attributes:
        id: the record's UUIDv7.
        service, tenant: which chain it goes to.
    """

    id: str
    service: str
    tenant: str = ""


class _Row(NamedTuple):
    service: str
    tenant: str
    unlinked: str


def emit_in(
    connection: Any,
    ctx: GivenContext,
    event_type: str,
    fields: Any = None,
    *,
    emitter: Emitter | None = None,
) -> OutboxReceipt:
    """Record one event in the transaction of a connection.

    Args:
        connection: a psycopg ``Connection`` or ``Cursor``; a SQLAlchemy ``Connection`` or
            ``Session``; Django's ``connection`` (or ``connections[…]``). Its role has
            ``audit_emit_writer``.
        ctx, event_type, fields: as for ``emit_strict``.
        emitter: the emitter whose settings apply; the process-wide one by default.

    Returns:
        The receipt; it has an id and no ``seq`` yet.

    Raises:
        AuditError: the record could not be put there. As with every statement that fails in a
            transaction, PostgreSQL then refuses all further ones: roll the transaction back.
    """
    send = _sender(connection)
    row, receipt = _prepared(emitter or get_emitter(), ctx, event_type, fields)
    try:
        send(row)
    except Exception as error:
        raise _refused(error, receipt) from error
    return receipt


async def aemit_in(
    connection: Any,
    ctx: GivenContext,
    event_type: str,
    fields: Any = None,
    *,
    emitter: Emitter | None = None,
) -> OutboxReceipt:
    """Record one event in the transaction of an asynchronous connection; see ``emit_in``.

    Args:
        connection: a psycopg ``AsyncConnection`` or ``AsyncCursor``; a SQLAlchemy
            ``AsyncConnection`` or ``AsyncSession``.
        ctx, event_type, fields, emitter: see ``emit_in``.

    Raises:
        AuditError: see ``emit_in``.
    """
    send = _sender(connection, is_async=True)
    row, receipt = _prepared(emitter or get_emitter(), ctx, event_type, fields)
    try:
        await send(row)
    except Exception as error:
        raise _refused(error, receipt) from error
    return receipt


def start_sealer(
    address: str, *, show: Callable[[bytes], object] | None = None, emitter: Emitter | None = None
) -> SealerThread:
    """Start a thread that seals the records in the outbox; several processes may run one each.

    Args:
        address: as for ``audit-emit seal``; its role has ``audit_emit_writer``.
        show: called with each line that was sealed, with its newline, after its commit.
        emitter: the emitter whose settings apply to the records that the sealer writes about the
            log itself; the process-wide one by default.

    Returns:
        The thread; ``stop()`` ends it.

    Raises:
        ConfigError: the address cannot be used, or psycopg is missing.
    """
    made = emitter or get_emitter()
    thread = SealerThread(Address(address), own=own_record(made), show=show)
    prepare_exit()
    thread.start()
    return thread


def own_record(
    emitter: Emitter, by: tuple[str, str] = ("", "service")
) -> Callable[[str, dict[str, Any]], str]:
    """Return the builder of the records that a chain has about itself, without their link.

    Args:
        by: the ``user_id`` and ``actor_kind`` of these records.
    """

    def own(event_type: str, fields: dict[str, Any]) -> str:
        return _prefix(emitter, *emitter.builder.own(event_type, fields, by))

    return own


def _prefix(emitter: Emitter, part: Part, end: str) -> str:
    return emitter.clock.draft(part, end).prefix


def _prepared(
    emitter: Emitter, ctx: GivenContext, event_type: str, fields: Any
) -> tuple[_Row, OutboxReceipt]:
    """The record, with all secrets held back.

    Raises:
        AuditError: it could not be made.
    """
    settings = emitter.settings
    if settings.disabled:
        raise AuditError("disabled", "emit_in needs an emitter that is not disabled")
    composer = emitter.builder
    try:
        renew()
        context = emitter.misuse.checked(ctx, usable_type=composer.takes(event_type))
        prefix = _prefix(emitter, *composer.compose(context, event_type, fields))
    except AuditError:
        raise
    except BaseException as error:
        let_through(error)
        reason = bare_name(type(error))
        raise AuditError(reason, f"the audit record could not be made: {reason}") from error
    copies = project(f"{prefix}}}")
    tenant = (copies.workspace_id or "") if settings.chain_by == "workspace_id" else ""
    receipt = OutboxReceipt(copies.id or "", settings.service, tenant)
    return _Row(receipt.service, receipt.tenant, prefix), receipt


def _refused(error: Exception, receipt: OutboxReceipt) -> AuditError:
    """The error of a driver as one word: SQLAlchemy and Django wrap the driver's own error."""
    inner = getattr(error, "orig", None) or error.__cause__ or error
    reason = reason_of(inner) if hasattr(inner, "sqlstate") else bare_name(type(error))
    return AuditError(
        reason,
        f"the audit record could not be put into the outbox: {reason}",
        event_id=receipt.id,
    )


def _sender(connection: Any, *, is_async: bool = False) -> Callable[[_Row], Any]:
    """How to insert through a connection.

    Raises:
        AuditError: the connection is of no type that is known here.
    """
    kind: type = type(connection)
    driver, awaits = _known(kind)
    sender = None
    if driver == "psycopg":
        sender = _through_psycopg(connection)
    elif driver == "sqlalchemy":
        sender = _through_sqlalchemy(connection)
    elif driver == "django" and not is_async:
        sender = _through_django(connection)
    if sender is None or awaits != is_async:
        name = "aemit_in" if is_async else "emit_in"
        hint = "; await aemit_in(…) with it" if sender is not None and awaits else ""
        raise AuditError(
            "invalid-connection",
            f"{name} takes a connection of psycopg, SQLAlchemy or Django to PostgreSQL, "
            f"not {bare_name(type(connection))}{hint}",
        )
    return sender


@lru_cache(maxsize=64)
def _known(kind: type) -> tuple[str, bool]:
    """The library that a type of connection comes from, and whether it is asynchronous."""
    origins = {each.__module__.partition(".")[0] for each in kind.__mro__}
    driver = next((one for one in _DRIVERS if one in origins), "")
    return driver, kind.__name__.startswith(("Async", "async_"))


def _through_psycopg(connection: Any) -> Callable[[_Row], Any]:
    return lambda row: connection.execute(_PSYCOPG, tuple(row))


def _through_sqlalchemy(connection: Any) -> Callable[[_Row], Any] | None:
    from sqlalchemy import text  # noqa: PLC0415 - it is there: this is a connection of its

    bound = connection if hasattr(connection, "dialect") else connection.get_bind()
    if bound.dialect.name != "postgresql" or not hasattr(connection, "execute"):
        return None
    statement = text(_SQLALCHEMY)
    return lambda row: connection.execute(statement, row._asdict())


def _through_django(connection: Any) -> Callable[[_Row], Any] | None:
    if getattr(connection, "vendor", "") != "postgresql":
        return None

    def send(row: _Row) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_PSYCOPG, tuple(row))

    return send
