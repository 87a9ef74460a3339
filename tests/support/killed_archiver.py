"""A process that archives a log, and is killed after a given step.

    python killed_archiver.py DIRECTORY PREFIX NUMBER [DAYS]

A step is a request to the store that was answered, or something that was made durable. With the
number 0 it ends by itself and prints how many steps there were. It works so many days later.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

_count = 0


def counted(function: Callable[..., Any], number: int) -> Callable[..., Any]:
    """The same, which kills the process after its call of this number."""

    def call(*args: Any, **more: Any) -> Any:
        global _count  # noqa: PLW0603 - one for the process
        made = function(*args, **more)
        _count += 1
        if _count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return made

    return call


def main(directory: str, prefix: str, number: int, days: int = 0) -> None:
    """Archive it."""
    from support.archived_log import SignedLog
    from support.object_store import Server, Store

    from audit_emit._objects.bucket import Bucket

    log = SignedLog(Path(directory))
    name = os.environ["AUDIT_EMIT_ARCHIVE_URL"].split("/")[2]
    server = Server(os.environ["AUDIT_EMIT_ARCHIVE_ENDPOINT"])
    store = Store(server.endpoint, name, None)
    os.fsync = counted(os.fsync, number)
    os.fdatasync = counted(os.fdatasync, number)
    Bucket._ask = counted(Bucket._ask, number)  # type: ignore[method-assign]
    with log.archiver(store, prefix=prefix, days=days) as archiver:
        archiver.run()
    print(_count)
    log.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
