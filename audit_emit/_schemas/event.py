"""The class of a declared event, without the way to emit it; and what is said of its fields.

``audit_emit.Event`` adds ``emit``. An event is a struct of msgspec: a name or a type that is wrong
at the call is found by a type checker, and a wrong name by Python, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

import msgspec

from audit_emit._fields.walk import RESERVED
from audit_emit._format.record import TYPE, valid_type

if TYPE_CHECKING:
    from msgspec import StructMeta as _StructMeta
else:
    _StructMeta = type(msgspec.Struct)

__all__ = ["Declaration", "EventMeta", "Field"]

METHODS = ("emit", "emit_strict", "json_schema")
"""Names of an event class that no field may have."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of one field of an event, for people, exports and erasure; it checks nothing.

    Stands in the annotation of the field: ``email: Annotated[str, Field(personal=True)]``. What
    a value must be says ``msgspec.Meta`` in the same place. In JSON Schema it is the member
    ``x-audit-emit`` of the property.

    Attributes:
        personal: the value is personal data (GDPR, article 4(1)).
        subject: the value names the person whom the event's personal data is about.
        retention_days: how many days the value is needed; 0 for as long as its record is kept.
        ocsf: the attribute of OCSF that it is, as a path such as ``user.email_addr``.
    """

    personal: bool = False
    subject: bool = False
    retention_days: int = 0
    ocsf: str = ""


class EventMeta(_StructMeta):
    """Makes event classes: frozen structs whose fields are given by name."""

    def __new__(  # noqa: PYI034 - what a metaclass makes is no metaclass
        cls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        type: str = "",  # noqa: A002 - how an event class is written
    ) -> EventMeta:
        """Make one.

        Args:
            type: its event type; a class without one is there for others to inherit from.

        Raises:
            TypeError: the type is none, or a field has a name that means something else.
        """
        if type and not valid_type(type):
            raise TypeError(
                f"{name}: an event type matches {TYPE.pattern}, such as secret.set, and does not "
                'begin with "audit."'
            )
        made = super().__new__(
            cls, name, bases, namespace, frozen=True, kw_only=True, forbid_unknown_fields=True
        )
        taken = {*METHODS} & {*made.__struct_fields__}
        taken |= {*RESERVED} & {*made.__struct_encode_fields__} - {"workspace_id"}
        if taken:
            raise TypeError(
                f"{name}: {min(taken)} is no name for a field, as the library uses it; for a "
                f'member of that name: {min(taken)}_: … = msgspec.field(name="{min(taken)}")'
                if min(taken) in METHODS
                else f"{name}: {min(taken)} is a name that the library gives a meaning in a record"
            )
        made.__event_type__ = type
        named = made.__struct_fields__ == made.__struct_encode_fields__
        made.__is_plain__ = named and msgspec.UNSET not in made.__struct_defaults__
        return made

    __event_type__: str
    __is_plain__: bool

    def __init__(
        self, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **_: str
    ) -> None:
        super().__init__(name, bases, namespace)


@dataclass_transform(kw_only_default=True, field_specifiers=(msgspec.field,))
class Declaration(msgspec.Struct, metaclass=EventMeta):
    """A declared event: its type, its fields, and their JSON Schema."""

    __event_type__: ClassVar[str] = ""
    __is_plain__: ClassVar[bool] = True
    """Whether all its values, by their own names, are the fields of the record."""

    if TYPE_CHECKING:

        def __init_subclass__(cls, *, type: str = "") -> None: ...  # noqa: A002

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON Schema (2020-12) of the ``fields`` of such events' records.

        Raises:
            TypeError: a field has a type that msgspec cannot describe.
        """
        from audit_emit._schemas.documents import document_of  # noqa: PLC0415 - seldom needed

        return document_of(cls)
