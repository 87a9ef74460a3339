"""The identities of a context (``user_id`` and its like): bounded texts that hold no secret."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from audit_emit._fields.normaliser import Normaliser
from audit_emit._fields.plain import Encode
from audit_emit._fields.verdicts import HARMLESS
from audit_emit._format import record
from audit_emit._format.encode import text
from audit_emit.context import FIELDS, AuditContext

__all__ = ["identities", "identity", "usual"]

_ID_SCAN = 8192
_ID_BYTES = 1024
_SHORT = _ID_BYTES // 6
"""Characters of an identity that is within ``_ID_BYTES`` even if all of them are escaped."""

_NAMES = dict.fromkeys(FIELDS, HARMLESS)
_OPENING = len('{"workspace_id":')
_NONE, _NOBODY = "", "anonymous"
"""The objects that contexts have by default. Texts that are only equal are treated as any other."""
_KINDS = frozenset(("user", "anonymous", "service", "agent", "admin", "cron"))
"""Kinds of actors that are known to be well-formed."""


def usual(encode_plain: Encode, ctx: AuditContext) -> tuple[str, str] | None:
    """The members of a context as JSON, where each is a short text that may stay as it is.

    Most requests have a context of their own, and for most of them this is one call in C.

    Args:
        encode_plain: of the compiled part.
        ctx: the context.

    Returns:
        From the value of ``workspace_id`` up to that of ``fields``, and the members of the trace,
        as ``record`` makes them; ``None`` where each must be treated by itself (``identities``).
    """
    workspace, user, kind = ctx.workspace_id, ctx.user_id, ctx.actor_kind
    request, trace, span = ctx.correlation_id, ctx.trace_id, ctx.span_id
    if user is workspace is trace is span is _NONE and kind is _NOBODY:
        # The most frequent kind: nobody has signed in, and only the request has an id.
        if type(request) is not str or len(request) > _SHORT:
            return None
        nobody = {"workspace_id": "", "user_id": "", "actor_kind": kind, "correlation_id": request}
        made = encode_plain(nobody, _NAMES, None)
        return (f'{made[_OPENING:-1]},"fields":', "") if type(made) is str else None
    if not (
        type(workspace) is type(user) is type(kind) is type(request) is str
        and type(trace) is type(span) is str
        and len(workspace) + len(user) + len(request) <= _SHORT
        and (kind in _KINDS or (kind and record.actor_kind(kind) == kind))
    ):
        return None
    given = {
        "workspace_id": workspace,
        "user_id": user,
        "actor_kind": kind,
        "correlation_id": request,
    }
    members = ""
    if trace or span:
        given |= {"trace_id": trace, "span_id": span}
        members = record.trace_members(trace, span)
        if members != f',"trace_id":"{trace}","span_id":"{span}"':
            return None
    made = encode_plain(given, _NAMES, None)
    if type(made) is not str:
        return None
    return f'{made[_OPENING : -1 - len(members)]},"fields":', members


def identities(normaliser: Normaliser, given: dict[str, Any]) -> dict[str, str]:
    """The identities of a context by name; see ``identity``.

    Returns ``given`` itself where no identity had to be changed, which is so for most requests.
    """
    # Most are short and harmless at first sight, which is one call in C for all of them.
    encode_plain = normaliser.plain.encode_plain
    if encode_plain is not None:
        for one in given.values():
            if type(one) is not str or len(one) > _SHORT:
                break
        else:
            if type(encode_plain(given, _NAMES, None)) is str:
                return given
    return {name: identity(normaliser, one) for name, one in given.items()}


def identity(normaliser: Normaliser, given: Any) -> str:
    """Any value as a bounded identity that holds no secret."""
    if given is None:
        return ""
    if type(given) is not str:
        given = normaliser.identity(given)
    # Redacted before it is cut: half a secret is not recognised. An all-digit id is an id,
    # even where its digits would pass for a card number.
    value: str = given[:_ID_SCAN]
    if not value[: record.ID_LIMIT].isdigit():
        value = normaliser.scrub(value)
    if len(given) > record.ID_LIMIT:
        # Two long ids with the same beginning stay different.
        kept = value[: record.ID_LIMIT - 17]
        value = f"{kept}~{sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
    # Escapes take six bytes a character; a stub must have room for every identity whole.
    while len(value) > _SHORT and (size := len(text(value).encode())) > _ID_BYTES:
        value = value[: len(value) * _ID_BYTES // size]
    return value
