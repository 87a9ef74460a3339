"""Descriptor 1 of the test process as a real pipe, with the reader in the hands of the test."""

from __future__ import annotations

import json
import os
from typing import Any


class StdoutPipe:
    """A pipe in the place of standard output, until ``restore``.

    Attributes:
        reader: the end that a shipper would read.
    """

    def __init__(self) -> None:
        self._saved = os.dup(1)
        self.reader, writer = os.pipe()
        os.dup2(writer, 1)
        os.close(writer)
        os.set_blocking(self.reader, False)

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

    def fill(self) -> None:
        """Leave no room for anything: the reader has stopped."""
        os.set_blocking(1, False)
        try:
            for size in (65536, 4096, 1):
                while True:
                    try:
                        os.write(1, b"\n" * size)
                    except BlockingIOError:
                        break
        finally:
            os.set_blocking(1, True)

    def hang_up(self) -> None:
        """The reader is gone."""
        os.close(self.reader)
        self.reader = -1

    def restore(self) -> None:
        """Give descriptor 1 back to the test runner."""
        os.dup2(self._saved, 1)
        os.close(self._saved)
        if self.reader >= 0:
            os.close(self.reader)
