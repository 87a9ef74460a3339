from typing import Any, Literal, final

from audit_emit._stores.base import Linked

@final
class Table:
    def __init__(self, **tables: Any) -> None: ...
    def encode_plain(
        self, fields: object, names: dict[str, int], helper: object, /
    ) -> str | Literal[False] | None: ...

def append(
    drafts: list[Any],
    linked: type[Linked],
    prefix: str,
    event_id: str,
    own: bool,
    lock: int,
    lock_file: tuple[int, int] | None,
    lock_links: int,
    lock_check: int,
    file: int,
    path: str | None,
    active_file: tuple[int, int] | None,
    size: int,
    max_bytes: int,
    fresh: int,
    fresh_for: int,
    link: str,
    chain: str,
    seq: int,
    prev_hash: str,
    /,
) -> tuple[Linked, int, int] | None: ...
def leaf_hash(body: bytes, /) -> str: ...
def leaf_hash_anywhere(body: bytes, /) -> str: ...
def linked(block: bytes, chain: str, seq: int, prev_hash: str, /) -> list[str] | None: ...
