"""Descriptor 1 or 2 of the test process as a real pipe, its reader in the hands of the test."""

from __future__ import annotations

import json
import os
from types import TracebackType
from typing import Any, Self


class Piped:
    """A pipe in the place of a standard descriptor, within a ``with`` block.

    A fixture could not do this: pytest puts its own files there between set-up and test.

    Attributes:
        reader: the end that a shipper would read.
    """

    def __init__(self, number: int = 1) -> None:
        self._number = number
        self._saved = -1
        self.reader = -1

    def __enter__(self) -> Self:
        self._saved = os.dup(self._number)
        self.reader, writer = os.pipe()
        os.dup2(writer, self._number)
        os.close(writer)
        os.set_blocking(self.reader, False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.dup2(self._saved, self._number)
        os.close(self._saved)
        if self.reader >= 0:
            os.close(self.reader)

    def read(self) -> bytes:
        """What is in the pipe now."""
        parts = []
        while True:
            try:
                part = os.read(self.reader, 65536)
            except BlockingIOError:
                break
            if not part:
                break
            parts.append(part)
        return b"".join(parts)

    def records(self) -> list[dict[str, Any]]:
        """The lines in the pipe now, parsed; every one of them must be ours."""
        lines = self.read().split(b"\n")
        assert lines.pop() == b""
        assert all(line.startswith(b"audit: {") for line in lines)
        return [json.loads(line.removeprefix(b"audit: ")) for line in lines]

    def fill(self) -> int:
        """Leave no room for anything, as a reader that has stopped; returns how many bytes fit."""
        filled = 0
        os.set_blocking(self._number, False)
        try:
            for size in (65536, 4096, 1):
                while True:
                    try:
                        filled += os.write(self._number, b"\n" * size)
                    except BlockingIOError:
                        break
        finally:
            os.set_blocking(self._number, True)
        return filled

    def hang_up(self) -> None:
        """The reader is gone."""
        os.close(self.reader)
        self.reader = -1
