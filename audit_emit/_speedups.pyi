from collections.abc import Callable, Iterator
from typing import Any, Literal, final

from audit_emit._format.record import Receipt
from audit_emit._runtime.owned_fds import Owned
from audit_emit._stores.jsonl.group_commit import GroupCommit
from audit_emit._stores.jsonl.segment import Segment
from audit_emit.context import GivenContext

class Mutex:
    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...
    def _is_owned(self) -> bool: ...
    def __enter__(self) -> bool: ...
    def __exit__(self, *exc: object) -> None: ...

class EmitterState:
    file_fault: str | None
    pending: bool
    unmade: int
    unshown: int
    _quick: Callable[[Any, Any, Any], Any] | None
    def emit(self, ctx: GivenContext, event_type: str, fields: Any = None) -> Receipt | None: ...

class ClockState:
    _salt: str
    ids: Iterator[int]

class SinkState:
    group: GroupCommit | None
    segment: Segment
    _busy: bool
    _calls_again: bool
    _lines_size: int
    _lines: list[bytes] | None
    _lock_checked: int
    _lock_fd: int
    _lock_links: int
    _mutex: Mutex

class SegmentState:
    chain: str
    descriptor: int
    fresh: int
    hash: str
    last_ns: int
    seq: int
    size: int
    unshown: list[bytes]
    written: int
    _fresh_size: int
    _link_part: str
    _max_bytes: int

class DescriptorState:
    fault: str | None
    last: bytes
    number: int
    _asks: bool
    _checked: int
    _dup: Owned | int
    _identity: tuple[int, int] | None
    _max_bytes: int
    _nowait: bool
    _null: bool
    _owed: bytes
    _prefix: bytes

@final
class Quick:
    def __init__(
        self,
        *,
        table: Table,
        known: tuple[dict[str, int], dict[str, int]],
        make_json: Callable[[object, bool], str | None],
        composer: object,
        kinds: dict[str, Any],
        context_type: type,
        live_type: type,
        bound: Callable[[], object],
        clock: ClockState,
        time_ns: Callable[[], int],
        sink: SinkState,
        segment_type: type[SegmentState],
        stdout: DescriptorState | None,
        receipt: type[Receipt],
        before_id: str,
        fresh_ns: int,
        lock_check_ns: int,
        recheck_ns: int,
        wakes: tuple[int, ...],
        most_bytes: int,
    ) -> None: ...
    def __call__(
        self, ctx: object, event_type: object, fields: object, /
    ) -> Receipt | tuple[bytes, Receipt] | tuple[()] | None: ...

@final
class Table:
    def __init__(self, **tables: Any) -> None: ...
    def encode_plain(
        self, fields: object, names: dict[str, int], helper: object, /
    ) -> str | Literal[False] | None: ...

def begin_second(second: int, /) -> str: ...
def leaf_hash(body: bytes, /) -> str: ...
def leaf_hash_anywhere(body: bytes, /) -> str: ...
def linked(block: bytes, chain: str, seq: int, prev_hash: str, /) -> list[str] | None: ...
