"""Types with declared members: pydantic, msgspec, dataclasses, attrs, named tuples.

A member may have further names, those of its JSON (``alias``, ``rename``, metadata). It is secret
when one of them is the name of a secret. What its author keeps out of ``repr``, or marks as
sensitive or ``writeOnly`` (JSON Schema), is secret whatever its names are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import UNSET, Struct

from audit_emit._fields.containers import of_dict
from audit_emit._fields.values import MAX_ITEMS, Handler, Members
from audit_emit._redaction.names import fold
from audit_emit._redaction.redactor import Secret
from audit_emit._redaction.words import MARKED_SECRET
from audit_emit._runtime import foreign as _foreign
from audit_emit._runtime.foreign import class_dict
from audit_emit._runtime.interrupts import let_through

__all__ = ["record_reader"]

_MAX_NAMES = 8
_MAX_METADATA = 32
_NAMING = ("name", "alias", "key", "rename")
"""Parts of the keys of metadata whose value is a further name of the member."""


class Declared:
    """What a type says of its members, read once from its classes.

    Attributes:
        names: their attributes, in order.
        hidden: those that are secret whatever their names are.
        aliases: the further names of those that have any.
    """

    __slots__ = ("aliases", "hidden", "names")

    def __init__(self, names: Iterable[str]) -> None:
        self.names: list[str] = list(names)
        self.hidden: set[str] = set()
        self.aliases: dict[str, tuple[str, ...]] = {}

    def add(self, name: str, others: Iterable[Any], *, hidden: bool) -> None:
        """Note what is declared of one member."""
        if hidden:
            self.hidden.add(name)
        known = [other for other in others if type(other) is str and other != name]
        if known:
            self.aliases[name] = tuple(dict.fromkeys(known))[:_MAX_NAMES]


def record_reader(
    kind: type,
    bases: tuple[type, ...],
    names: frozenset[str],
    is_from: Callable[[tuple[type, ...], tuple[str, ...]], bool],
) -> Handler | None:
    """The handler of a type with named members; ``None`` for any other one.

    Args:
        kind: the type.
        bases: its classes, ``object`` left out.
        names: all that is in one of them.
        is_from: whether one of some classes is defined in one of some packages.
    """
    if dict in bases:
        return None
    if any(base.__name__ == "BaseModel" and is_from((base,), ("pydantic",)) for base in bases):
        return _model_reader(_of_model(kind))
    if tuple in bases and "_fields" in names:
        fields = [str(name) for name in _on_type(kind, "_fields")]
        return lambda value: _pairs(fields, value)
    if Struct in bases:
        return _attribute_reader(_of_struct(kind))
    if "__dataclass_fields__" in names:
        return _attribute_reader(_of_dataclass(kind))
    if "__attrs_attrs__" in names:
        return _attribute_reader(_of_attrs(kind))
    return None


def _on_type(kind: type, name: str) -> Any:
    """An attribute of a class, as it stands in it."""
    for base in type.__getattribute__(kind, "__mro__"):
        if name in class_dict(base):
            return class_dict(base)[name]
    return None


def _of_struct(kind: Any) -> Declared:
    declared = Declared(kind.__struct_fields__)
    for name, encoded in zip(declared.names, kind.__struct_encode_fields__, strict=True):
        declared.add(name, (encoded,), hidden=False)
    return declared


def _of_dataclass(kind: type) -> Declared:
    fields = _on_type(kind, "__dataclass_fields__")
    declared = Declared(n for n, f in fields.items() if repr(f._field_type) == "_FIELD")  # noqa: SLF001 - fields() says the same, and calls what is foreign
    infos = _on_type(kind, "__pydantic_fields__")
    infos = infos if type(infos) is dict else {}
    for name in declared.names:
        field = fields[name]
        others, hidden = _of_metadata(field.metadata)
        of_pydantic, hidden_by_pydantic = _of_info(infos.get(name))
        declared.add(
            name, (*others, *of_pydantic), hidden=hidden or hidden_by_pydantic or not field.repr
        )
    return declared


def _of_attrs(kind: type) -> Declared:
    attributes = _on_type(kind, "__attrs_attrs__")
    declared = Declared(attribute.name for attribute in attributes)
    for attribute in attributes:
        others, hidden = _of_metadata(attribute.metadata)
        alias = getattr(attribute, "alias", None)
        declared.add(attribute.name, (alias, *others), hidden=hidden or attribute.repr is False)
    return declared


def _of_metadata(metadata: Any) -> tuple[list[str], bool]:
    """The names in the metadata of a member, and whether it is marked as secret."""
    names: list[str] = []
    hidden = False
    for at, (key, value) in enumerate(metadata.items()):
        if at == _MAX_METADATA or type(key) is not str:
            break
        folded = fold(key)
        if type(value) is str and any(part in folded for part in _NAMING):
            names.append(value)
        hidden = hidden or (value is True and folded in MARKED_SECRET)
    return names, hidden


def _of_model(kind: type) -> tuple[Declared, frozenset[str]]:
    """What a model of pydantic declares, and which members it leaves out of its JSON."""
    infos = _on_type(kind, "__pydantic_fields__")
    if type(infos) is not dict:
        infos = _on_type(kind, "__fields__")  # of version 1
    infos = infos if type(infos) is dict else {}
    declared = Declared(infos)
    for name, info in infos.items():
        names, hidden = _of_info(info)
        declared.add(name, names, hidden=hidden)
    return declared, frozenset(n for n, info in infos.items() if getattr(info, "exclude", None))


def _of_info(info: Any) -> tuple[list[str], bool]:
    """The same of a ``FieldInfo``."""
    if info is None:
        return [], False
    names: list[str] = []
    for attribute in ("alias", "serialization_alias", "validation_alias"):
        names += _alias_names(getattr(info, attribute, None))
    schema = getattr(info, "json_schema_extra", None)
    schema = schema if type(schema) is dict else {}
    marked = any(value is True and fold(str(key)) in MARKED_SECRET for key, value in schema.items())
    hidden = getattr(info, "repr", True) is False
    return names, hidden or marked or schema.get("format") == "password"


def _alias_names(alias: Any) -> Iterator[str]:
    """The names in an alias of pydantic: a text, a path, or a choice of both."""
    if type(alias) is str:
        yield alias
        return
    for choice in (getattr(alias, "choices", None) or [alias])[:_MAX_NAMES]:
        path = getattr(choice, "path", None)
        for step in (choice,) if path is None else path[:_MAX_NAMES]:
            if type(step) is str:
                yield step


def _pairs(fields: list[str], value: tuple[Any, ...]) -> Members:
    entries = tuple.__getitem__(value, slice(0, MAX_ITEMS))
    return Members("dict", list(zip(fields, entries, strict=False)), tuple.__len__(value))


def _attribute_reader(declared: Declared) -> Handler:
    names, hidden, aliases = declared.names, declared.hidden, declared.aliases

    def read(value: object) -> Members:
        pairs = []
        for name in names[:MAX_ITEMS]:
            try:
                got = getattr(value, name)
            except Exception as error:  # noqa: BLE001 - a property; an attribute never set
                let_through(error)
                got = UNSET
            if got is not UNSET:
                pairs.append((name, Secret(got) if name in hidden else got))
        total = len(pairs) + max(0, len(names) - MAX_ITEMS)
        return Members("dict", pairs, total, aliases=aliases)

    return lambda value: _foreign.call(read, value)


def _model_reader(of_model: tuple[Declared, frozenset[str]]) -> Handler:
    declared, skipped = of_model
    hidden = declared.hidden

    def read(value: object) -> Members:
        own = of_dict(object.__getattribute__(value, "__dict__"))
        try:
            extra = of_dict(object.__getattribute__(value, "__pydantic_extra__") or {})
        except AttributeError as error:
            let_through(error)
            extra = of_dict({})
        pairs = (*own.entries, *extra.entries)
        shown = [(k, Secret(v) if k in hidden else v) for k, v in pairs if k not in skipped]
        total = own.total + extra.total - (len(pairs) - len(shown))
        return Members(
            "dict",
            shown[:MAX_ITEMS],
            total,
            racy=own.racy or extra.racy,
            table=own.table + extra.table,
            aliases=declared.aliases,
        )

    return read
