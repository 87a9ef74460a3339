from collections.abc import Callable
from typing import Any, Literal

from audit_emit._format.record import Receipt

def encoder(
    *tables: Any,
) -> Callable[[object, dict[str, int], object], str | list[str] | Literal[False] | None]: ...
def append(
    kept: list[Any],
    place: tuple[Any, ...],
    part: str | tuple[str, str],
    closing: str,
    end: tuple[int, int, str, int, int],
    mirror: tuple[Any, ...] | None,
    checked: int,
    /,
) -> tuple[Receipt, bytes, int, int, int, int, bool] | None: ...
def copied(
    block: bytes,
    numbers: bytes,
    ids: bytes,
    hashes: bytes,
    ts: bytes,
    types: bytes,
    workspaces: bytes,
    users: bytes,
    correlations: bytes,
    /,
) -> bool: ...
def leaf_hash(body: bytes, anywhere: bool = ..., /) -> str: ...
def linked(
    block: bytes, chain: str, seq: int, prev_hash: str, place: int, alike: bytes, mark: bytes, /
) -> tuple[bytes, bytes, bytes, bool] | None: ...
def parents(row: bytes, /) -> bytes: ...
