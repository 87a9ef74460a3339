"""The values of a tracked row of Django as last read or committed, and actions after a commit.

The remembered values are replaced when the transaction commits, and not before: after a savepoint
is rolled back, the next ``save`` is compared with the values from before that savepoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["KEY", "Memory", "Pending", "known_before", "pending_of"]

KEY = "_audit_emit_memory"
"""The attribute of an instance that holds its ``Memory``."""


class Pending:
    """Actions for when a transaction commits; dropped with the savepoint they were added in.

    It is the first of Django's callbacks for the commit, because a callback of the application that
    raises keeps Django from calling those after it.
    """

    __slots__ = ("_todo",)

    def __init__(self) -> None:
        self._todo: list[Callable[[], object]] = []

    def add(self, action: Callable[[], object]) -> None:
        """Add an action for after the commit."""
        self._todo.append(action)

    def __call__(self) -> None:
        for action in self._todo:
            action()


def pending_of(connection: Any) -> Pending | None:
    """The actions of the open savepoint; ``None`` outside of a transaction."""
    if not connection.in_atomic_block:
        return None
    queue = connection.run_on_commit
    savepoints = set(connection.savepoint_ids)
    at = _ours(queue)
    if at and queue[at - 1][0] == savepoints:
        found: Pending = queue[at - 1][1]
        return found
    made = Pending()
    queue.insert(at, (savepoints, made, True))
    return made


def _ours(queue: list[Any]) -> int:
    at = 0
    while at < len(queue) and isinstance(queue[at][1], Pending):
        at += 1
    return at


class Memory:
    """The values of one instance by the names of its fields.

    Attributes:
        committed: as they were read or last committed.
        ahead: as they were saved in transactions that may still be rolled back, oldest first.
    """

    __slots__ = ("ahead", "committed")

    def __init__(self, committed: Mapping[str, Any]) -> None:
        self.committed: Mapping[str, Any] = committed
        self.ahead: list[tuple[Pending, Mapping[str, Any]]] = []

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied with the instance; nothing there waits for this transaction."""
        return (Memory, (dict(self.committed),))

    def saved(self, values: Mapping[str, Any], pending: Pending | None) -> None:
        """Replace the remembered values: now, or when the transaction commits."""
        if pending is None:
            self.committed = values
            self.ahead.clear()
            return
        self.ahead.append((pending, values))
        pending.add(lambda: self._commit(values))

    def _commit(self, values: Mapping[str, Any]) -> None:
        self.committed = values
        self.ahead.clear()


def known_before(instance: Any, connection: Any) -> Mapping[str, Any] | None:
    """What the row has in this transaction; ``None`` when it was never read."""
    memory = instance.__dict__.get(KEY)
    if memory is None:
        return None
    if memory.ahead:
        queue = connection.run_on_commit
        alive = {id(one[1]) for one in queue[: _ours(queue)]}
        memory.ahead = [one for one in memory.ahead if id(one[0]) in alive]
        if memory.ahead:
            latest: Mapping[str, Any] = memory.ahead[-1][1]
            return latest
    committed: Mapping[str, Any] = memory.committed
    return committed
