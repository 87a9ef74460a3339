"""From a call's arguments to the text of a record, except its time, its id and its place.

Every secret is held back here, before a record exists; nothing after this sees a raw value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audit_emit._core.identity import identities, usual
from audit_emit._core.misuse import Misuse
from audit_emit._core.processors import Processing
from audit_emit._fields.fitting import LONGEST, fitted
from audit_emit._fields.normaliser import MISSING, Normalised, Normaliser, is_secret_event
from audit_emit._fields.persons import withheld
from audit_emit._fields.subject import WITHHELD as NO_VALUE
from audit_emit._format import record
from audit_emit._format.encode import text, to_json
from audit_emit._redaction.redactor import Redactor
from audit_emit._runtime import compiled as _compiled
from audit_emit._runtime.failure import Counters
from audit_emit._runtime.observer import UNOBSERVED, Observer
from audit_emit._settings.settings import Settings
from audit_emit._stores.base import Part
from audit_emit.context import EMPTY, VAR, AuditContext, GivenContext, LiveContext

BEFORE_ID = f',"v":{record.VERSION},"id":"'
"""What comes between the fields and the id."""

_KINDS_LIMIT = 4096
_TYPE_LIMIT = 256

WITHHELD = "_withheld"
"""The field that stands for all others, and names the processor that failed."""
_TOLD = ("_cut", "_racy")
"""Members in which ``Normaliser.full`` records what it did."""


class RecordBuilder:
    """Builds the two pieces of a record around its time and id.

    Args:
        settings: service, hash key, key rules and processors.
        counters: where cuts, held-back values and failing processors are counted.
        misuse: reports event types that are not valid; default: they are only counted.
        tell: writes to stderr, at most once a minute for each kind (``StderrLog.report``).
        observer: gets the errors of processors, and of fields that could not be made plain.
    """

    def __init__(
        self,
        settings: Settings,
        counters: Counters,
        misuse: Misuse | None = None,
        tell: Callable[[str, str], None] | None = None,
        observer: Observer = UNOBSERVED,
    ) -> None:
        self.redactor: Redactor = Redactor(
            settings.hash_key,
            settings.secret_keys,
            settings.safe_keys,
            settings.redaction_rules,
            hide_access_key_ids=settings.hide_access_key_ids,
            report=settings.redaction_report,
            seals=settings.subject_keys is not None,
        )
        self.normaliser: Normaliser = Normaliser(
            self.redactor, observer, _compiled.encoder, counters
        )
        plain = self._plain = self.normaliser.plain
        self._encode_plain = plain.encode_plain
        self._names = plain.known.names
        self._processors = settings.processors
        self._counters = counters
        self._observer = observer
        self._misuse = misuse or Misuse(counters)
        self._tell = tell
        self._closing = f'","service":"{settings.service}"'
        self._processing = Processing(
            settings.processors, counters, tell, observer, self.normaliser.scrub
        )
        self.kinds: dict[str, tuple[str, bool]] = {}
        """Of each well-formed type so far: how its records open, and ``is_secret_event``."""

    def after_fork(self) -> None:
        """Start anew in a forked child."""

    def close(self) -> None:
        """Give every descriptor back; the next event opens them again."""

    def waited(self) -> float:
        """Seconds that the event of this thread has waited already."""
        return 0.0

    def report(self) -> dict[str, Any]:
        """What ``health()`` says of values of persons."""
        return {"state": "off", "store": None, "last_error": None}

    def prepare(self) -> None:
        """Compile the rules of redaction: 40 ms that the first event does not have to wait then."""
        self.redactor.engine.prepare()
        self.redactor.scrub("password=x")

    @property
    def has_processors(self) -> bool:
        """Whether the caller's code sees every event."""
        return bool(self._processors)

    def compose(self, ctx: GivenContext, event_type: Any, fields: Any) -> tuple[Part, str]:
        """The record around its time and its id (``Clock.prefix``).

        Args:
            ctx: as ``Emitter.emit`` takes it.
            event_type: what the caller gave; what is not well-formed is recorded as such.
            fields: what the caller gave, or what was made of it before (``Normalised``).
        """
        if ctx is None:
            ctx = VAR.get()
        if type(ctx) is not AuditContext:
            ctx = ctx.context if type(ctx) is LiveContext else self._misuse.understand(ctx)
        wire = ctx.wire
        if wire is None or wire[0] is not self:
            wire = self._wire(ctx)
        # Only exact strings get there, so no other object can ever be equal to a key.
        if type(event_type) is str:
            kind = self.kinds.get(event_type)
        elif issubclass(type(event_type), str):
            kind = self.kinds.get(event_type := as_text(event_type))
        else:
            kind = None
        if kind is None:
            if not self.takes(event_type):
                return self._invalid(ctx, event_type, fields)
            kind = self._kind(event_type)
        if self._processors:
            return self._full(ctx, event_type, fields, {})
        # What is harmless at first sight takes one call in C, where there is one.
        encode = self._encode_plain  # called as a method, it would be looked for in the class first
        if encode is None:
            body = self._plain.text(fields, kind[1])
        else:
            made = encode(fields, self._names[kind[1]], None)
            body = made if type(made) is str else self._plain.finished(made, fields, kind[1])
        if body is None:
            return self._full(ctx, event_type, fields, {})
        return f"{kind[0]}{wire[1]}{body}{BEFORE_ID}", wire[2]

    def takes(self, event_type: Any) -> bool:
        """Whether a record can be of this type."""
        if not issubclass(type(event_type), str):  # not ``isinstance``: that asks the object
            return False
        given = as_text(event_type)
        return record.valid_type(given) and self.redactor.scrub(given) is None

    def own(
        self, event_type: str, fields: dict[str, Any], by: tuple[str, str] = ("", "service")
    ) -> tuple[str, str]:
        """The pieces of a record about the log itself; ``by``: ``user_id`` and ``actor_kind``."""
        context = record.context_part(*by, "")
        body = to_json(fields)
        return f'{record.event_part(event_type)}""{context}{body}{BEFORE_ID}', self._closing

    def lossy(self, event_type: str, reason: str) -> tuple[str, str]:
        """The pieces of a record that stands for an event which could not be made in full.

        Args:
            event_type: its type, or an empty string where that is not known.
            reason: the type of the failure.
        """
        fields = {"_lossy": reason}
        if not record.valid_type(event_type):
            fields = {"_event_type": self._shown(event_type), **fields}
            event_type = record.INVALID_TYPE
        wire = self._wire(EMPTY)
        return f"{record.event_part(event_type)}{wire[1]}{to_json(fields)}{BEFORE_ID}", wire[2]

    def _kind(self, event_type: str) -> tuple[str, bool]:
        if len(self.kinds) >= _KINDS_LIMIT:
            self.kinds.clear()
        kind = (record.event_part(event_type), is_secret_event(event_type))
        self.kinds[event_type] = kind
        return kind

    def _wire(self, ctx: AuditContext) -> tuple[RecordBuilder, str, str]:
        """The encoded context, kept on it: the same for a whole request."""
        # One call in C looks at a whole context, where there is one.
        made = self._encode_plain and usual(self._encode_plain, ctx)
        before, trace = made or self._one_by_one(ctx)
        wire = (self, before, self._closing + trace)
        object.__setattr__(ctx, "wire", wire)
        return wire

    def _one_by_one(self, ctx: AuditContext) -> tuple[str, str]:
        """The same for any context."""
        given = ctx.as_dict()
        ids = self._ids(given)
        for name, shown in ids.items() if ids is not given else ():
            one = given[name]
            # What the fields had withheld is text by now, and was counted there.
            if shown == NO_VALUE and not (type(one) is str and one == shown):
                self._counters.withheld += 1
        kind = record.actor_kind(ids["actor_kind"] or "user")
        before = text(ids["workspace_id"]) + record.context_part(
            ids["user_id"], kind, ids["correlation_id"]
        )
        return before, record.trace_members(ids["trace_id"], ids["span_id"])

    def _ids(self, given: dict[str, Any]) -> dict[str, str]:
        return identities(self.normaliser, given)

    def _invalid(self, ctx: AuditContext, event_type: Any, fields: Any) -> tuple[Part, str]:
        self._misuse.event_type()
        extra = {"_event_type": self._shown(event_type)}
        return self._full(ctx, record.INVALID_TYPE, fields, extra, rules="secret.unknown")

    def _shown(self, event_type: Any) -> str:
        """What a caller gave as an event type, as bounded text without secrets."""
        plain = self.normaliser.full("secret.unknown", {"event_type": event_type}).value
        original = withheld(plain.get("event_type", ""))
        return (original if isinstance(original, str) else to_json(original))[:_TYPE_LIMIT]

    def _full(
        self,
        ctx: AuditContext,
        event_type: str,
        fields: Any,
        extra: dict[str, Any],
        rules: str = "",
    ) -> tuple[Part, str]:
        """Compose an event whose fields are not a small flat dict of harmless strings.

        Args:
            extra: members that come before the caller's.
            rules: an event type whose redaction rules are used instead of this one's.
        """
        normalised = (
            self._again(rules or event_type, fields, fields.value)
            if type(fields) is Normalised
            else self.normaliser.full(rules or event_type, fields)
        )
        if self._processors and not self._processing.is_under_way:
            plain = {name: each for name, each in normalised.value.items() if name not in _TOLD}
            processed = self._processing.run(event_type, plain)
            workspace_id = normalised.workspace_id
            if isinstance(processed, str):
                normalised.value = {WITHHELD: processed}
            else:
                normalised = self._again(rules or event_type, normalised, processed)
                normalised.workspace_id = workspace_id
        value = normalised.value
        self._counters.truncated += 1 if normalised.cut else 0
        self._counters.redacted += normalised.redacted
        self._counters.withheld += normalised.withheld
        if normalised.workspace_id is not MISSING:
            ctx = ctx.replace(workspace_id=normalised.workspace_id)
        wire = ctx.wire
        if wire is None or wire[0] is not self:
            wire = self._wire(ctx)
        before = f"{record.event_part(event_type)}{wire[1]}"
        shown = {**extra, **value} if extra else value
        return self._encoded(before, shown, was_cut=normalised.cut > 0), wire[2]

    def _encoded(self, before: str, value: dict[str, Any], *, was_cut: bool) -> Part:
        return f"{before}{self._fitted(value, was_cut=was_cut)}{BEFORE_ID}"

    def _fitted(self, value: dict[str, Any], *, was_cut: bool) -> str:
        """The JSON of plain fields, within the bounds of a record."""
        body = to_json(value)
        if len(body) > LONGEST // 4 and len(body.encode()) > LONGEST:
            shorter, count = fitted(value)
            self._counters.truncated += 0 if was_cut else min(count, 1)
            body = to_json(shorter)
        return body

    def _again(self, rules: str, before: Normalised, value: dict[str, Any]) -> Normalised:
        """Normalise ``value``, which was made of ``before``, again; members in ``_TOLD`` stay.

        A processor may have added anything, and another emitter may have had other rules.
        """
        told = {name: before.value[name] for name in _TOLD if name in before.value}
        done = self.normaliser.full(
            rules, {name: each for name, each in value.items() if name not in told}
        )
        return _joined(before, done, told)


def _joined(before: Normalised, done: Normalised, told: dict[str, Any]) -> Normalised:
    """The result of a second normalisation, with what the first one recorded (``told``)."""
    whole = {**done.value, **told}
    if done.cut and "_cut" in told:
        whole["_cut"] = [*told["_cut"], *done.value["_cut"]]
    return Normalised(
        whole,
        done.workspace_id,
        before.cut + done.cut,
        before.redacted + done.redacted,
        before.withheld + done.withheld,
    )


def as_text(event_type: str) -> str:
    """A string of any kind as a plain one: a StrEnum is its value, and its methods are foreign."""
    return str.__getitem__(event_type, slice(0, record.TYPE_LIMIT + 1))
