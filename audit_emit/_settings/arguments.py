"""The settings as arguments, so that type checkers find unknown names and values of a wrong type.

At run time ``CHECKS`` in ``checks.py`` decides; a test compares the names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from audit_emit._redaction.rule import Rule
from audit_emit._runtime.observer import OnError
from audit_emit._settings.checks import Durability, Processor
from audit_emit._settings.signing import KeyRing

if TYPE_CHECKING:
    from audit_emit._schemas.given import Given
    from audit_emit._stores.base import ChainStore
else:
    ChainStore = Given = Any
    """Not imported at run time; annotations that are resolved then still need the names."""

__all__ = ["Arguments"]

_Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class Arguments(TypedDict, total=False):
    """The arguments of ``configure`` and ``Emitter``; ``None`` counts as not given."""

    service: str | None
    jsonl: _Path | None
    store: str | ChainStore | None
    store_file: _Path | None
    chain_by: str | None
    stdout: bool | Literal["stderr"] | None
    stdout_max_bytes: int | None
    durability: Durability | None
    max_bytes: int | None
    hash_key: str | bytes | bytearray | None
    hash_key_file: _Path | None
    disabled: bool | None
    secret_keys: Iterable[str] | None
    safe_keys: Iterable[str] | None
    redaction_file: _Path | None
    hide_access_key_ids: bool | None
    redaction_report: bool | None
    checkpoint: bool | None
    signing_key: str | bytes | bytearray | KeyRing | None
    signing_key_file: _Path | None
    origin: str | None
    checkpoint_state: _Path | None
    subject_keys: _Path | None
    subject_actors: bool | None
    processors: Iterable[Processor] | None
    on_error: OnError | None
    redaction_rules: Iterable[Rule] | None
    schemas: Given | None
