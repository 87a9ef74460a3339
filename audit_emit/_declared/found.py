"""Where a command finds declared events: a directory of JSON Schemas, a module, the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module

from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.interrupts import let_through
from audit_emit._schemas.event import Declaration
from audit_emit._schemas.given import EventClass, schemas
from audit_emit._schemas.schema import Schemas
from audit_emit.errors import ConfigError

__all__ = ["declared"]


def declared(directory: str, modules: tuple[str, ...]) -> Schemas:
    """The schemas of a directory and of the event classes in modules.

    Args:
        directory: as ``configure(schemas=…)`` takes it; empty for none.
        modules: names of modules, which are imported: whoever names one wants its code to run.

    Raises:
        ConfigError: one of them cannot be used.
    """
    given: list[str | EventClass] = [directory] if directory else []
    for name in modules:
        found = list(_classes(name))
        if not found:
            raise ConfigError(name, "has no event class: class …(audit_emit.Event, type=…)")
        given += found
    return schemas("schemas", given) or Schemas()


def _classes(name: str) -> Iterator[EventClass]:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)  # as ``python -m`` has it
    try:
        module = import_module(name)
    except Exception as error:  # noqa: BLE001 - a module may raise anything
        let_through(error)
        raise ConfigError(name, f"cannot be imported: {bare_name(type(error))}: {error}") from None
    seen: set[EventClass] = set()
    for one in vars(module).values():
        if isinstance(one, type) and issubclass(one, Declaration) and one not in seen:
            seen.add(one)
            if one.__event_type__:
                yield one
