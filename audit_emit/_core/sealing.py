"""Values of persons, encrypted under the key of each: the builder where a key store is configured.

Every rule of redaction sees a value before it is sealed, and none sees a ciphertext. A key is had
within the time that an event may take, or the value is withheld, counted and reported: no event is
lost for it, and no value of a person is written that could not be erased.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from audit_emit._core.keyring import Keys
from audit_emit._core.marking import Marker
from audit_emit._core.misuse import Misuse
from audit_emit._core.record_builder import BEFORE_ID, RecordBuilder, as_text
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

_ONE = 5
"""Number of pieces of fields in which one value is sealed, and none held back."""
_HALF = "\\ud"
"""The beginning of a lone surrogate in the JSON of fields; msgspec does not decode one."""
_NO_VALUE = f'"{WITHHELD}"'
_NO_ACTOR = f',"user_id":{_NO_VALUE},'
_Wire = tuple[RecordBuilder, str, str, object]
"""As ``AuditContext.wire``; its last item is the ``Keys.current`` for which it is valid."""
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
        if kind is None and self.takes(event_type):
            event_type = as_text(event_type)
            kind = self._kind(event_type)
        if kind is None or type(fields) is not dict or self._processors:
            return self._composed(ctx, event_type, fields)
        if self._encode_plain is None:
            return self._interpreted(ctx, event_type, fields, kind, wire)
        # As in ``RecordBuilder.compose``: one call in C.
        pieces: Any = self._encode_plain(fields, self._names[kind[1]], None)
        if pieces is False:
            pieces = self._plain.asked(fields, kind[1])
        # The usual case: one value is sealed, and none held back.
        if type(pieces) is list and len(pieces) == _ONE and self._marker is None:
            before, one, plain, name, after = pieces
            person = one.subject if type(one) is Subject else None
            key = self.keys.cached.get(person) if type(person) is str else None
            if key is not None:
                new_id = self._clock.new_id()
                pointer = f"/{name}" if name.isidentifier() else pointer_to(name)
                sealed = key.seal(plain.encode(), new_id, pointer, self.keys.nonces)
                part = f'{kind[0]}{wire[1]}{before}"{sealed}"{after}{BEFORE_ID}'
                return (part, new_id), wire[2]
        pieces = self._plain.pieces(pieces, fields, kind[1])
        if pieces is None:
            return self._judged(event_type, *self._full(ctx, event_type, fields, {}))
        return self._in_pieces(event_type, kind, pieces, wire)

    def _in_pieces(
        self, event_type: str, kind: tuple[str, bool], pieces: list[Any], wire: _Wire
    ) -> tuple[Part, str]:
        """The record of what ``encode_plain`` has made (see ``fill``).

        ``wire`` is not read again: while a key is waited for, an event of another emitter, with
        other settings, may leave its own at the same context.
        """
        if self._marker is not None:
            _mark(self._marker, event_type, pieces)
        new_id, body, at = "", pieces[0], 1
        while at < len(pieces):
            one = pieces[at]
            if type(one) is Subject:
                new_id = new_id or self._clock.new_id()
                _, plain, name, after = pieces[at : at + 4]
                sealed = self._sealed(one.subject, plain.encode(), new_id, pointer_to(name))
                body = f"{body}{sealed}{after}"
                at += 4
            else:
                body = f"{body}{one}{pieces[at + 1]}"
                at += 2
        part = f"{kind[0]}{wire[1]}{body}{BEFORE_ID}"
        return (part, new_id) if new_id else part, wire[2]

    def _interpreted(
        self,
        ctx: AuditContext,
        event_type: str,
        fields: dict[Any, Any],
        kind: tuple[str, bool],
        wire: _Wire,
    ) -> tuple[Part, str]:
        """Compose an event where there is no compiled part."""
        plain = fields.copy()
        found = {name: one for name, one in plain.items() if type(one) is Subject}
        if not found:
            return self._composed(ctx, event_type, fields)
        plain.update((name, one.value) for name, one in found.items())
        body = self._plain.text(plain, kind[1])
        if body is None or _HALF in body:
            return self._judged(event_type, *self._full(ctx, event_type, fields, {}))
        if self._marker is not None:
            body = self._marker.body(event_type, body, found)
        new_id = self._clock.new_id()
        body = self._all_sealed(body, found, new_id)
        return (f"{kind[0]}{wire[1]}{body}{BEFORE_ID}", new_id), wire[2]

    def _composed(self, ctx: AuditContext, event_type: Any, fields: Any) -> tuple[Part, str]:
        """Compose an event by the base class, which finds values of persons anywhere in fields."""
        return self._judged(event_type, *super().compose(ctx, event_type, fields))

    def _judged(self, event_type: Any, part: Part, closing: str) -> tuple[Part, str]:
        """Add ``_schema``, if needed; a part with sealed values was checked before they were."""
        if self._marker is not None and type(part) is str:
            part = self._marker.part(event_type, part)
        return part, closing

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
        """The value with all values of persons in it sealed; ``steps``: its path in the fields."""
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
        """The JSON of a sealed value, or of ``WITHHELD`` where there is no key."""
        key = self.keys.cached.get(subject) if type(subject) is str else None
        if key is None:
            key = self._key_of(subject)
        if key is None:
            self._counters.withheld += 1
            return _NO_VALUE
        return f'"{key.seal(plain, new_id, pointer, self.keys.nonces)}"'

    def _key_of(self, subject: Any) -> SubjectKey | None:
        if type(subject) is not str:
            if subject is None or subject is True or subject is False:
                return None
            subject = self.normaliser.identity(subject)
        return self.keys.of(subject) if subject else None

    def _ids(self, given: dict[str, Any]) -> dict[str, str]:
        """See ``RecordBuilder``; the actor is a person, too."""
        ids = {**super()._ids(given)}
        user = given["user_id"]
        if type(user) is Subject:
            key = self._key_of(user.subject)  # given as a person, whatever the kind of actor
        elif self._actors and ids["user_id"] and not _is_no_person(ids["actor_kind"]):
            key = self._key_of(user if type(user) is str else ids["user_id"])
        else:
            return ids
        ids["user_id"] = WITHHELD if key is None else key.pseudonym
        return ids

    def _wire(self, ctx: AuditContext) -> Any:
        """See ``RecordBuilder``: a pseudonym holds until a key is destroyed."""
        current = self.keys.current  # first: a key may be destroyed while a pseudonym is made
        before, trace = self._one_by_one(ctx)  # with the pseudonym of the actor (``_ids``)
        # A key that cannot be had now may be there at the next event: a disk was full, say.
        until = object() if _NO_ACTOR in before else current
        wire = (self, before, self._closing + trace, until)
        object.__setattr__(ctx, "wire", wire)  # in one step: other threads have the same context
        return wire

    def _bound_again(self, text: str, old: str, new: str) -> str:
        """The text of a record with its values sealed again, for another id of the record."""
        keys = self.keys
        known = {one.key_id: one for one in (*keys.cached.values(), *keys.parents.values())}
        try:
            return reopen(text, old, new, known.get)
        except Exception as error:  # noqa: BLE001 - the record matters more than this value
            let_through(error)
            return text


def _is_no_person(kind: str) -> bool:
    """Whether an actor of this kind is no person."""
    return record.actor_kind(kind or "user") in NOT_PERSONS


def _mark(marker: Marker, event_type: str, pieces: list[Any]) -> None:
    """Add ``_schema`` to the pieces of fields that do not fit, before anything is sealed."""
    persons, texts, at = {}, [pieces[0]], 1
    while at < len(pieces):
        one = pieces[at]
        if type(one) is Subject:
            persons[pieces[at + 2]] = one
            texts += (pieces[at + 1], pieces[at + 3])
            at += 4
        else:
            texts += (one, pieces[at + 1])
            at += 2
    body = "".join(texts)
    marked = marker.body(event_type, body, persons)
    if marked is not body:
        pieces[-1] = pieces[-1][:-1] + marked[len(body) - 1 :]
