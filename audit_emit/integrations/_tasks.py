"""What the adapters of task queues share: the context in a message, and the record of a task.

Whoever can write to the broker can write any message. So the context in a message is signed when a
key is given: HMAC-SHA256 (RFC 2104) over the id of the task and the context. Without a key it is
used, and the record of the task says that it is only ``claimed``. With a key, a context that is not
signed with it is not used at all.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import audit_emit
from audit_emit._facade.adapters import bare_name, let_through
from audit_emit.context import FIELDS, AuditContext, LiveContext, current_context, is_empty
from audit_emit.errors import ConfigError
from audit_emit.integrations._common import Emits, identity_text
from audit_emit.integrations._request_context import enter_request, leave_request

__all__ = ["HEADER", "Carrier", "RunningTask", "emit_finished"]

HEADER = "audit_emit"
"""The name of the header of a message."""

EVENT = "task.finished"

_MIN_KEY = 16
_MAX_HEADER = 8192
_MAX_ID = 256
_DOMAIN = b"audit-emit task context v1\0"


class Carrier:
    """Writes the bound context into a header, and reads it.

    Args:
        key: signs the context; at least 16 bytes, the same for all that send and run tasks.

    Raises:
        ConfigError: the key is too short, or no text or bytes.
    """

    def __init__(self, key: str | bytes | None) -> None:
        if key is not None and (not isinstance(key, str | bytes) or len(key) < _MIN_KEY):
            raise ConfigError("key", f"must be text or bytes, at least {_MIN_KEY} of them")
        self._key = key.encode() if isinstance(key, str) else key

    def pack(self, task_id: str) -> str | None:
        """The header for a task that is sent now; ``None`` when nothing is bound."""
        bound = current_context().as_dict()
        ids = {name: identity_text(value)[:_MAX_ID] for name, value in bound.items()}
        ids = {name: text for name, text in ids.items() if text}
        if ids in ({}, {"actor_kind": "user"}):
            return None
        text = json.dumps(ids, separators=(",", ":"), sort_keys=True)
        packed = {"ids": text}
        if self._key is not None:
            packed["mac"] = self._mac(task_id, text)
        return json.dumps(packed, separators=(",", ":"))

    def unpack(self, task_id: str, header: object) -> tuple[dict[str, str], str | None]:
        """The ids in a header, and ``signed``, ``claimed``, or ``refused``; ``None``: no header."""
        if header is None:
            return {}, None
        try:
            ids, mac = _parsed(header)
        except Exception as error:  # noqa: BLE001 - a message may hold anything
            let_through(error)
            return {}, "refused"
        if self._key is None:
            return json.loads(ids), "claimed"
        if not hmac.compare_digest(self._mac(task_id, ids), mac):
            return {}, "refused"
        return json.loads(ids), "signed"

    def _mac(self, task_id: str, text: str) -> str:
        said = _DOMAIN + task_id.encode("utf-8", "replace") + b"\0" + text.encode()
        return hmac.new(self._key or b"", said, hashlib.sha256).hexdigest()


def _parsed(header: object) -> tuple[str, str]:
    """The text of the ids, which is a flat object of known names, and the MAC.

    Raises:
        ValueError: it is none of ours.
    """
    if not isinstance(header, str) or len(header) > _MAX_HEADER:
        raise ValueError("no header of ours")
    packed = json.loads(header)
    ids = json.loads(packed["ids"])
    if not isinstance(ids, dict) or not ids.keys() <= set(FIELDS):
        raise ValueError("other names than those of a context")
    if not all(isinstance(text, str) and len(text) <= _MAX_ID for text in ids.values()):
        raise ValueError("not texts")
    mac = packed.get("mac", "")
    return packed["ids"], mac if isinstance(mac, str) and mac.isascii() else ""


def context_of(ids: Mapping[str, str], fallback_id: str) -> AuditContext:
    """The context of a task: that of its sender; ``service`` acts where nobody is known."""
    known = {"correlation_id": fallback_id, **ids}
    if "user_id" not in known:
        known.setdefault("actor_kind", "service")
        if known["actor_kind"] == "user":
            known["actor_kind"] = "service"
    return AuditContext(**known)


class RunningTask:
    """One run of a task in this process, from its start to its record.

    Args:
        ids: of the sender's context.
        trust: see ``Carrier.unpack``.
        fallback_id: the correlation id where the sender had none.
        inherit: keep the context that is bound now: the task runs in the process of its sender.
    """

    def __init__(
        self, ids: Mapping[str, str], trust: str | None, fallback_id: str, *, inherit: bool = False
    ) -> None:
        bound = current_context()
        if not inherit or is_empty(bound.correlation_id):
            bound = context_of(ids, fallback_id)
        self.live: LiveContext = LiveContext(bound)
        self.trust: str | None = trust
        self.error: type[BaseException] | None = None
        self._started = perf_counter()
        self._entered: Any = enter_request(self.live)

    def finish(self, emitter: Emits | None, fields: dict[str, Any]) -> None:
        """Record the end of the run, and restore the context that was bound before."""
        fields["duration_ms"] = round((perf_counter() - self._started) * 1000, 3)
        if self.error is not None:
            fields.setdefault("error", bare_name(self.error))
        emit_finished(emitter, self.live.context, self.trust, fields)
        self.leave()

    def leave(self) -> None:
        """Restore the context that was bound before."""
        entered, self._entered = self._entered, None
        if entered is not None:
            leave_request(entered)


def emit_finished(
    emitter: Emits | None, context: AuditContext, trust: str | None, fields: dict[str, Any]
) -> None:
    """Write ``task.finished``."""
    if trust is not None:
        fields["context"] = trust
    emit = audit_emit.emit if emitter is None else emitter.emit
    emit(context, EVENT, {name: value for name, value in fields.items() if value is not None})
