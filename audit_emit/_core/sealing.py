"""Values of persons, encrypted under the key of each: the record builder of who is asked to seal.

What is sealed was looked at by every rule before; no rule sees a ciphertext. A key is made within
the time that an event may take, or the value is withheld, counted and told: an event is never lost
for it, and no value of a person is written that could not be erased.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import msgspec

from audit_emit._core.marking import Marker
from audit_emit._core.misuse import Misuse
from audit_emit._core.record_builder import BEFORE_ID, RecordBuilder
from audit_emit._fields.subject import WITHHELD, Subject
from audit_emit._format import record
from audit_emit._format.encode import to_json
from audit_emit._runtime.failure import Counters
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.observer import UNOBSERVED, Observer
from audit_emit._schemas.schema import SCHEMA
from audit_emit._settings.settings import Settings
from audit_emit._stores.base import Part
from audit_emit._stores.clock import Clock
from audit_emit._subjects.sealed import NONCE_BYTES, SubjectKey, pointer_to, reopen
from audit_emit._subjects.store import KeyStore, opened_store
from audit_emit.context import VAR, AuditContext, GivenContext, LiveContext
from audit_emit.errors import KeyStoreError

__all__ = ["SealingBuilder"]

KEY_SECONDS = 0.04
"""How long an event waits for the key of a person who has none here yet."""

FRESH_SECONDS = 0.01
"""How long a look at the store counts: until then an event may be sealed under a key that is gone,
and is read by nobody."""

NOT_PERSONS = frozenset(("service", "cron"))
"""Kinds of actors whose ``user_id`` is written as it is."""

_MAX_KEYS = 4096
_NONCES = 256
_ERASED = "erased"
_NO_VALUE = f'"{WITHHELD}"'
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
        self._actors = settings.subject_actors
        self._marker = (
            Marker(settings.schemas, counters, tell, observer) if settings.schemas else None
        )
        clock.bind_again = self._bound_again

    def after_fork(self) -> None:
        """See ``RecordBuilder``: nonces of the parent's are never used again."""
        self.keys.after_fork()

    def close(self) -> None:
        """See ``RecordBuilder``."""
        self.keys.close()

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
        if self._encode_plain is None:
            body = self.normaliser.fast(plain, kind[1])
        else:
            made = self._encode_plain(plain, self._names[kind[1]], None)
            body = self.normaliser.judged(plain, kind[1]) if made is False else made
        if body is None:
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
        if not _has_subject(value):
            return super()._encoded(before, value, was_cut=was_cut)
        if self._marker is not None:
            reasons = self._marker.reasons(before, to_json(_opened(value)), value)
            value = {**value, SCHEMA: reasons} if reasons else value
        new_id = self._clock.new_id()
        body = self._fitted(self._sealed_below(value, (), new_id), was_cut=was_cut)
        return f"{before}{body}{BEFORE_ID}", new_id

    def _sealed_below(self, value: Any, steps: tuple[str | int, ...], new_id: str) -> Any:
        """The same value with ciphertexts in it; nested no deeper than a walk goes."""
        if type(value) is Subject:
            plain = to_json(_inside(value.value, value.subject)).encode()
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

    def _ids(self, ctx: AuditContext) -> dict[str, str]:
        """See ``RecordBuilder``: who acts is a person, too."""
        ids = super()._ids(ctx)
        kind = record.actor_kind(ids["actor_kind"] or "user")
        if self._actors and ids["user_id"] and kind not in NOT_PERSONS:
            given = ctx.user_id
            key = self._key_of(given if type(given) is str else ids["user_id"])
            if key is None:
                self._counters.withheld += 1
            ids["user_id"] = WITHHELD if key is None else key.pseudonym
        return ids

    def _wire(self, ctx: AuditContext) -> Any:
        """See ``RecordBuilder``: a pseudonym holds until a key is destroyed."""
        wire = (*super()._wire(ctx), self.keys.current)
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


class Keys:
    """The keys that one emitter has used, until one is destroyed.

    Args:
        store: where they are.
        tell: says a sentence, at most once a minute for each kind.

    Attributes:
        cached: by the id of the person.
        parents: those that the parent of this process had, for an event that was under way.
        current: another object after every change of the store.
        fault: why there was no key last, as one word; ``None`` while there is one.
    """

    def __init__(self, store: KeyStore, tell: Callable[[str, str], None] | None) -> None:
        SubjectKey(bytes(32))  # says at once that a package is missing
        self.store: KeyStore = store
        self._tell = tell
        self.fault: str | None = None
        self._fresh = 0.0
        self.forget()

    def forget(self) -> None:
        """Hold no key: what is needed again is asked for again."""
        self.cached: dict[str, SubjectKey] = {}
        self.parents: dict[str, SubjectKey] = {}
        self.current: object = object()
        self._erased: set[str] = set()
        self._nonces: list[bytes] = []
        self._asking: threading.Thread | None = None

    def epoch(self) -> object:
        """``current``, after a look at the store where the last one is no longer fresh."""
        now = monotonic()
        if now >= self._fresh:
            self._fresh = now + FRESH_SECONDS
            if self.store.has_changed():
                self.forget()
        return self.current

    def nonce(self) -> bytes:
        """One that nobody had before: of this process alone, and given once."""
        try:
            return self._nonces.pop()
        except IndexError:
            drawn = os.urandom(NONCE_BYTES * _NONCES)
            self._nonces += [
                drawn[at : at + NONCE_BYTES] for at in range(NONCE_BYTES, len(drawn), NONCE_BYTES)
            ]
            return drawn[:NONCE_BYTES]

    def of(self, subject: str) -> SubjectKey | None:
        """The key of a person, made if there is none; ``None`` where nobody gives one now."""
        known = self.cached.get(subject)
        if known is not None or subject in self._erased:
            return known
        if self._asking is not None and self._asking.is_alive():
            self._missing("slow")  # one event has waited for it; the others do not
            return None
        asked = _Asked(self.store, subject)
        try:
            thread = threading.Thread(target=asked.run, name="audit-emit-key", daemon=True)
            thread.start()
            self._asking = thread
        except RuntimeError as error:  # no thread begins while the interpreter shuts down
            let_through(error)
            asked.run()
        else:
            thread.join(KEY_SECONDS)
        if asked.key is None:
            self._missing(asked.reason)
            if asked.reason == _ERASED and len(self._erased) < _MAX_KEYS:
                self._erased.add(subject)
            return None
        self.fault = None
        made = SubjectKey(asked.key)
        if len(self.cached) >= _MAX_KEYS:
            self.cached = {}
        self.cached[subject] = made
        return made

    def _missing(self, reason: str) -> None:
        if reason == _ERASED:
            return  # as it was asked for
        self.fault = reason
        if self._tell is not None:
            self._tell(
                f"subject key {reason}",
                f"no key of a person can be had from {self.store.shown} ({reason}); what would be "
                "sealed under it is withheld",
            )

    def after_fork(self) -> None:
        """Begin anew in a forked child: the nonces are the parent's."""
        parents = self.cached
        self.forget()
        self.parents = parents
        self.store.after_fork()

    def close(self) -> None:
        """Give every descriptor back, and hold no key."""
        self.forget()
        self.store.close()


class _Asked:
    """One question to a store, answered in a thread: a disk may take longer than an event may."""

    def __init__(self, store: KeyStore, subject: str) -> None:
        self._store = store
        self._subject = subject
        self.key: bytes | None = None
        self.reason: str = "slow"

    def run(self) -> None:
        try:
            self.key = self._store.obtain(self._subject)
            if self.key is None:
                self.reason = _ERASED
        except KeyStoreError as error:
            self.reason = error.reason
        except Exception as error:  # noqa: BLE001 - the event goes on without the value
            let_through(error)
            self.reason = bare_name(type(error))


def _text_of(value: Any) -> str:
    """The JSON of a plain value, if it is one; nothing that could be found for any other."""
    try:
        return _encode(value).decode()
    except Exception as error:  # noqa: BLE001 - what it is, the fields say themselves
        let_through(error)
        return "\0"


def _has_subject(value: Any) -> bool:
    if type(value) is dict:
        return any(map(_has_subject, value.values()))
    return any(map(_has_subject, value)) if type(value) is list else type(value) is Subject


def _inside(value: Any, subject: Any) -> Any:
    """What is sealed under one key: a value of another person in it has no place there."""
    if type(value) is Subject:
        return _inside(value.value, subject) if value.subject == subject else WITHHELD
    if type(value) is dict:
        return {name: _inside(one, subject) for name, one in value.items()}
    if type(value) is list:
        return [_inside(one, subject) for one in value]
    return value


def _opened(value: Any) -> Any:
    """The fields as they would be without any wrapping."""
    if type(value) is Subject:
        return _inside(value.value, value.subject)
    if type(value) is dict:
        return {name: _opened(one) for name, one in value.items()}
    if type(value) is list:
        return [_opened(one) for one in value]
    return value
