"""How far an export came: a small file beside the output, replaced after each sync of that.

The output may be longer than the state says, as a process can be killed between the two; what is
beyond is cut off and exported again, so that the file ends up with the bytes of an export that
nobody interrupted.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from audit_emit._format.record import Head
from audit_emit._runtime.atomic import replace_file
from audit_emit.errors import ExportError

_VERSION = 1
_LONGEST = 1 << 20


class State(NamedTuple):
    """How far an export came.

    Attributes:
        form: the format with its options and filters, as a text that is equal for equal exports.
        head: the last record that was looked at; ``None`` before the first.
        length: bytes of the output that hold everything up to it.
    """

    form: str
    head: Head | None
    length: int

    @classmethod
    def beside(cls, output: Path) -> State | None:
        """The state of an output; ``None`` where nothing was exported yet.

        Raises:
            ExportError: there is an output without a state, or it says what cannot be.
            OSError: it cannot be read.
        """
        try:
            text = _read(path_of(output))
        except FileNotFoundError:
            if os.path.lexists(output) and output.lstat().st_size:
                raise ExportError(
                    f"{output.name} is there without {path_of(output).name}; it is no export that "
                    "can be resumed: move it away, or export to another file"
                ) from None
            return None
        except UnicodeDecodeError:
            raise _unreadable(output) from None
        try:
            found = json.loads(text)
            head = Head(**found["head"]) if found["head"] is not None else None
            state = cls(found["form"], head, found["length"])
        except (ValueError, TypeError, LookupError, RecursionError):
            raise _unreadable(output) from None
        if found.get("v") != _VERSION or not _sound(state):
            raise _unreadable(output)
        return state

    def keep(self, output: Path) -> None:
        """Replace the state of an output, durably.

        Raises:
            OSError: it cannot be written, or is perhaps not durable.
        """
        values: Mapping[str, object] = {
            "v": _VERSION,
            "form": self.form,
            "head": None if self.head is None else self.head._asdict(),
            "length": self.length,
        }
        replace_file(path_of(output), json.dumps(values).encode() + b"\n")


def path_of(output: Path) -> Path:
    """The file that holds the state of an output."""
    return output.with_name(f"{output.name}.state")


def _read(path: Path) -> str:
    """The text of a regular file; of anything else, which might never end, nothing."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        return file.read(_LONGEST).decode() if regular else ""


def _sound(state: State) -> bool:
    head = state.head
    return (
        isinstance(state.form, str)
        and type(state.length) is int
        and state.length >= 0
        and (
            head is None
            or (
                all(isinstance(text, str) for text in (head.chain, head.hash, head.ts))
                and type(head.seq) is int
                and head.seq > 0
            )
        )
    )


def _unreadable(output: Path) -> ExportError:
    return ExportError(
        f"{path_of(output).name} is no state of an export; move both away, and export anew"
    )
