"""The plain bytes of packed files (gzip, zstd), and what a damaged one raises."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Protocol, cast

from audit_emit.errors import UnsupportedError

_WINDOW_LOG = 23
"""A packed file may need 8 MiB to be unpacked, which is what ``zstd`` itself accepts unasked."""


class Packed(Protocol):
    """The part of a ``LogFile`` that is needed here."""

    @property
    def packed(self) -> str:
        """``gzip`` or ``zstd``."""

    @property
    def name(self) -> str:
        """What errors call it."""


@contextmanager
def unpacked(file: Packed, descriptor: int) -> Iterator[IO[bytes]]:
    """The plain bytes of a packed file, from its beginning.

    Raises:
        UnsupportedError: see there.
    """
    with open(os.dup(descriptor), "rb") as raw:
        raw.seek(0)
        if file.packed == "gzip":
            import gzip  # noqa: PLC0415 - only for packed files

            with gzip.GzipFile(fileobj=raw) as stream:
                yield cast("IO[bytes]", stream)
        else:
            yield _zstd(raw, file.name)


def _zstd(raw: IO[bytes], name: str) -> IO[bytes]:
    module = zstd_module()
    if module is None:
        raise UnsupportedError(
            f"{name} is packed with zstd; pip install 'audit-emit[zstd]', or unpack it first"
        )
    window = {module.DecompressionParameter.window_log_max: _WINDOW_LOG}
    return cast("IO[bytes]", module.ZstdFile(raw, options=window))


def refuse_wide(error: BaseException, name: str) -> None:
    """Tell a file that takes much memory to unpack from a damaged one.

    Raises:
        UnsupportedError: it takes more than 8 MiB.
    """
    if "too much memory" in str(error):
        raise UnsupportedError(
            f"{name} is packed with a window of more than 8 MiB; unpack it first, or pack it "
            "without --long and --ultra"
        ) from None


def zstd_module() -> Any:
    """What packs and unpacks zstd, as ``compression.zstd`` does; ``None`` without it."""
    # Not ``zstandard``: its streams end without a word where a file was cut off. Imports, and not
    # names of modules: whatever packs a program looks for them.
    try:
        import compression.zstd as found  # type: ignore[import-not-found] # noqa: PLC0415 - 3.14
    except ModuleNotFoundError:
        try:
            import backports.zstd as found  # noqa: PLC0415 - only for packed files
        except ModuleNotFoundError:
            return None
    return found


def broken() -> tuple[type[BaseException], ...]:
    """What reading a damaged packed file raises."""
    import gzip  # noqa: PLC0415 - only for packed files
    import zlib  # noqa: PLC0415

    module = zstd_module()
    known: tuple[type[BaseException], ...] = (EOFError, zlib.error, gzip.BadGzipFile)
    return known if module is None else (*known, module.ZstdError)
