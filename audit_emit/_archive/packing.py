"""Bytes of a log into a packed file, and out of it. The same bytes give the same file each time.

A packed file holds neither a time nor a name. It depends on the version of the compressor, so two
archivers may pack the same records differently: what counts is the SHA-256 of the bytes unpacked.
"""

from __future__ import annotations

import tempfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from typing import IO, Any, NamedTuple, Self

from audit_emit._readers.files.packing import zstd_module
from audit_emit._runtime.files import naming
from audit_emit.errors import ConfigError

_ZSTD_LEVEL, _GZIP_LEVEL = 3, 6
_GZIP = 16 + zlib.MAX_WBITS
_AHEAD = 8
"""How many blocks may wait to be packed."""

_IN_MEMORY = 1 << 20
"""Bytes of a packed file that stay in memory; a larger one goes to the temporary directory."""


class Sizes(NamedTuple):
    """Number and SHA-256 of bytes, as they are in the log and as they are packed."""

    size: int
    sha256: str
    packed_size: int
    packed_sha256: str


class Packer:
    """A packed temporary file, without a name, that is gone when it is closed.

    Args:
        pack: ``zst`` or ``gz``.

    Raises:
        ConfigError: zstd is not there.
    """

    def __init__(self, pack: str) -> None:
        self._compressor = _compressor(pack)
        self._plain, self._size = sha256(), 0
        self._packed, self._packed_size = sha256(), 0
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def add(self, data: bytes) -> None:
        """Take more bytes.

        Raises:
            OSError: the temporary directory is full.
        """
        self._plain.update(data)
        self._size += len(data)
        self._write(self._compressor.compress(data))

    def passed(self, data: Iterable[bytes]) -> Iterator[bytes]:
        """Blocks as they come, each packed by a thread while the caller looks at it.

        Packing and hashing hold no lock of the interpreter. A few blocks wait at most.

        Raises:
            OSError: see ``add``.
        """
        with ThreadPoolExecutor(1, "audit_emit packer") as pool:
            waiting: deque[Future[None]] = deque()
            try:
                for block in data:
                    waiting.append(pool.submit(self.add, block))
                    if len(waiting) == _AHEAD:
                        # Half of them at a time: to be woken for each one takes time as well.
                        done = [waiting.popleft() for _ in range(_AHEAD // 2)]
                        for one in reversed(done):
                            one.result()
                    yield block
                while waiting:
                    waiting.popleft().result()
            finally:
                for one in waiting:
                    one.cancel()

    def end(self) -> Sizes:
        """Finish the file, which can be read from its beginning then; its sizes."""
        self._write(self._compressor.flush())
        self.file.seek(0)
        return Sizes(
            self._size, self._plain.hexdigest(), self._packed_size, self._packed.hexdigest()
        )

    def _write(self, data: bytes) -> None:
        if data:
            self._packed.update(data)
            self._packed_size += len(data)
            with naming(tempfile.gettempdir()):
                self.file.write(data)


def _compressor(pack: str) -> Any:
    if pack == "gz":
        return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)
    module = zstd_module()
    if module is None:
        raise ConfigError("archive", "zst needs zstd: pip install 'audit-emit[s3]', or pack gz")
    parameter = module.CompressionParameter
    options = {parameter.compression_level: _ZSTD_LEVEL, parameter.checksum_flag: 1}
    return module.ZstdCompressor(options=options)


def copied(data: Iterator[bytes], take: Callable[[bytes], object]) -> tuple[int, str]:
    """Hand blocks on; their number of bytes, and their SHA-256."""
    digest, size = sha256(), 0
    for block in data:
        digest.update(block)
        size += len(block)
        take(block)
    return size, digest.hexdigest()
