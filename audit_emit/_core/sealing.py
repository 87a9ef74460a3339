"""Values of persons, encrypted under the key of each: the record builder of who is asked to seal.

What is sealed was looked at by every rule before; no rule sees a ciphertext. A key is made within
the time that an event may take, or the value is withheld, counted and told: an event is never lost
for it, and no value of a person is written that could not be erased.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from audit_emit._core.keyring import Keys
from audit_emit._core.marking import Marker
from audit_emit._core.misuse import Misuse
from audit_emit._core.record_builder import BEFORE_ID, RecordBuilder
from audit_emit._fields.persons import has_subject, only_of, unwrapped_below
from audit_emit._fields.subject import WITHHELD, Subject
from audit_emit._format import record
from audit_emit._format.encode import to_json
from audit_emit._runtime.failure import Counters
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.observer import UNOBSERVED, Observer
from audit_emit._schemas.schema import SCHEMA
from audit_emit._settings.settings import Settings
from audit_emit._stores.base import Part
from audit_emit._stores.clock import Clock
from audit_emit._subjects.sealed import SubjectKey, pointer_to, reopen
from audit_emit._subjects.store import opened_store
from audit_emit.context import VAR, AuditContext, GivenContext, LiveContext

__all__ = ["SealingBuilder"]

NOT_PERSONS = frozenset(("service", "cron"))
"""Kinds of actors whose ``user_id`` is written as it is."""

_HALF = "\\ud"
"""How a lone surrogate begins in the JSON of fields, which msgspec does not read again."""
_NO_VALUE = f'"{WITHHELD}"'
_NO_ACTOR = f',"user_id":{_NO_VALUE},'
_encode = msgspec.json.Encoder().encode
_raws = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class SealingBuilder(RecordBuilder):
    """See ``RecordBuilder``.

    Args:
        settings: with ``subject_keys``.
        clock: gives the ids that ciphertexts are bound to.
    """

    def __init__(
        self,
        settings: Settings,
        counters: Counters,
        misuse: Misuse | None = None,
        tell: Callable[[str, str], None] | None = None,
        observer: Observer = UNOBSERVED,
        *,
        clock: Clock,
    ) -> None:
        super().__init__(settings, counters, misuse, tell, observer)
        self.keys: Keys = Keys(opened_store(settings.subject_keys or ""), tell)
        self._clock = clock
        self._at_once = None  # who acts is a person, too, and is looked at by itself (``_ids``)
        self._actors = settings.subject_actors
        self._marker = (
            Marker(settings.schemas, counters, tell, observer) if settings.schemas else None
        )
        clock.bind_again = self._bound_again

    def prepare(self) -> None:
        """See ``RecordBuilder``; a key service is asked as well."""
        super().prepare()
        self.keys.prepare()

    def after_fork(self) -> None:
        """See ``RecordBuilder``: nonces of the parent's are never used again."""
        self.keys.after_fork()

    def close(self) -> None:
        """See ``RecordBuilder``."""
        self.keys.close()

    def waited(self) -> float:
        """See ``RecordBuilder``."""
        return self.keys.waited()

    def report(self) -> dict[str, Any]:
        """See ``RecordBuilder``."""
        keys = self.keys
        state = "degraded" if keys.fault else "ok"
        return {"state": state, "store": keys.store.shown, "last_error": keys.fault}

    def compose(self, ctx: GivenContext, event_type: Any, fields: Any) -> tuple[Part, str]:
        """See ``RecordBuilder``."""
        epoch = self.keys.epoch()
        if ctx is None:
            ctx = VAR.get()
        if type(ctx) is not AuditContext:
            ctx = ctx.context if type(ctx) is LiveContext else self._misuse.understand(ctx)
        wire = ctx.wire
        if wire is None or wire[0] is not self or wire[3] is not epoch:
            wire = self._wire(ctx)
        kind = self.kinds.get(event_type) if type(event_type) is str else None
        if kind is None or type(fields) is not dict or self._processors:
            return self._composed(ctx, event_type, fields)
        plain = fields.copy()
        found = [(name, one) for name, one in plain.items() if type(one) is Subject]
        if not found:
            return self._composed(ctx, event_type, fields)
        for name, one in found:
            plain[name] = one.value
        # As in ``RecordBuilder.compose``: one call in C, where there is one.
        made = self._encode_plain and self._encode_plain(plain, self._names[kind[1]], None)
        body = made if type(made) is str else self.normaliser.fast(plain, kind[1])
        if body is None or _HALF in body:
            return self._full(ctx, event_type, fields, {})
        if self._marker is not None:
            body = self._marker.body(event_type, body, dict(found))
        new_id = self._clock.new_id()
        if len(found) == 1:
            name, one = found[0]
            body = self._one_sealed(body, name, one, new_id)
        else:
            body = self._all_sealed(body, dict(found), new_id)
        return (f"{kind[0]}{wire[1]}{body}{BEFORE_ID}", new_id), wire[2]

    def _composed(self, ctx: AuditContext, event_type: Any, fields: Any) -> tuple[Part, str]:
        """An event in which no value of a person is in plain sight."""
        part, closing = super().compose(ctx, event_type, fields)
        if self._marker is not None and type(part) is str:
            part = self._marker.part(event_type, part)
        return part, closing

    def _one_sealed(self, body: str, name: Any, one: Subject, new_id: str) -> str:
        """The fields with one of them sealed, in the usual case: nothing else has its name."""
        member = f'"{name}":'
        at = body.find(member)
        value, begin = one.value, at + len(member)
        text = f'"{value}"' if type(value) is str else _text_of(value)
        end = begin + len(text)
        # In a text its quotation marks would be escaped, so it is a member: the one that is meant.
        found = at > 0 and body.startswith(text, begin) and body.find(member, end) < 0
        if found and body[end] in ",}":
            pointer = pointer_to(name) if "/" in name or "~" in name else f"/{name}"
            sealed = self._sealed(one.subject, text.encode(), new_id, pointer)
            return f"{body[:begin]}{sealed}{body[end:]}"
        return self._all_sealed(body, {name: one}, new_id)

    def _all_sealed(self, body: str, found: dict[Any, Subject], new_id: str) -> str:
        """The fields with some of them sealed."""
        members = []
        for name, raw in _raws(body.encode()).items():
            one = found.get(name)
            text = (
                bytes(raw).decode()
                if one is None
                else self._sealed(one.subject, bytes(raw), new_id, pointer_to(name))
            )
            members.append(f"{to_json(name)}:{text}")
        return f"{{{','.join(members)}}}"

    def _encoded(self, before: str, value: dict[str, Any], *, was_cut: bool) -> Part:
        """See ``RecordBuilder``: values of persons may be anywhere in the fields."""
        if not has_subject(value):
            return super()._encoded(before, value, was_cut=was_cut)
        if self._marker is not None:
            reasons = self._marker.reasons(before, to_json(unwrapped_below(value)), value)
            value = {**value, SCHEMA: reasons} if reasons else value
        new_id = self._clock.new_id()
        body = self._fitted(self._sealed_below(value, (), new_id), was_cut=was_cut)
        return f"{before}{body}{BEFORE_ID}", new_id

    def _sealed_below(self, value: Any, steps: tuple[str | int, ...], new_id: str) -> Any:
        """The same value with ciphertexts in it; nested no deeper than a walk goes."""
        if type(value) is Subject:
            plain = to_json(only_of(value.subject, value.value)).encode()
            return self._sealed(value.subject, plain, new_id, pointer_to(*steps))[1:-1]
        if type(value) is dict:
            return {
                name: self._sealed_below(one, (*steps, name), new_id) for name, one in value.items()
            }
        if type(value) is list:
            return [self._sealed_below(one, (*steps, at), new_id) for at, one in enumerate(value)]
        return value

    def _sealed(self, subject: Any, plain: bytes, new_id: str, pointer: str) -> str:
        """The JSON of a sealed value; of what stands for it where there is no key."""
        key = self.keys.cached.get(subject) if type(subject) is str else None
        if key is None:
            key = self._key_of(subject)
        if key is None:
            self._counters.withheld += 1
            return _NO_VALUE
        return f'"{key.seal(plain, new_id, pointer, self.keys.nonce())}"'

    def _key_of(self, subject: Any) -> SubjectKey | None:
        if type(subject) is not str:
            if subject is None or subject is True or subject is False:
                return None
            subject = self.normaliser.identity(subject)
        return self.keys.of(subject) if subject else None

    def _ids(self, given: dict[str, Any]) -> dict[str, str]:
        """See ``RecordBuilder``: who acts is a person, too."""
        ids = {**super()._ids(given)}
        user = given["user_id"]
        if type(user) is Subject:
            key = self._key_of(user.subject)  # whoever says so is one, of whatever kind
        elif self._actors and ids["user_id"] and not _is_no_person(ids["actor_kind"]):
            key = self._key_of(user if type(user) is str else ids["user_id"])
        else:
            return ids
        ids["user_id"] = WITHHELD if key is None else key.pseudonym
        return ids

    def _wire(self, ctx: AuditContext) -> Any:
        """See ``RecordBuilder``: a pseudonym holds until a key is destroyed."""
        current = self.keys.current  # before: a key may be destroyed while a pseudonym is made
        made = super()._wire(ctx)
        # Who has no key now may have one with the next event: a service was away, a disk full.
        wire = (*made, object() if _NO_ACTOR in made[1] else current)
        object.__setattr__(ctx, "wire", wire)
        return wire

    def _bound_again(self, text: str, old: str, new: str) -> str:
        """What is sealed in a record, under another id of it."""
        keys = self.keys
        known = {one.key_id: one for one in (*keys.cached.values(), *keys.parents.values())}
        try:
            return reopen(text, old, new, known.get)
        except Exception as error:  # noqa: BLE001 - the record counts, and is whole but for this
            let_through(error)
            return text


def _is_no_person(kind: str) -> bool:
    """Whether an actor of this kind is no person."""
    return record.actor_kind(kind or "user") in NOT_PERSONS


def _text_of(value: Any) -> str:
    """The JSON of a plain value, if it is one; nothing that could be found for any other."""
    try:
        return _encode(value).decode()
    except Exception as error:  # noqa: BLE001 - what it is, the fields say themselves
        let_through(error)
        return "\0"
