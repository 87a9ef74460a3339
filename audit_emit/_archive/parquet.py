"""A copy of archived records as Parquet, for searching with DuckDB. It is no evidence.

What can be proved are the lines of the log; a table of their members is not those bytes. One file
is written for each batch, from bytes that were compared with the signed manifest's digests.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress

from audit_emit._archive.objects import checked_part
from audit_emit._format.line_splitter import Lines
from audit_emit._format.manifest import Manifest, with_records
from audit_emit._loki.json_stage import without_halves
from audit_emit._objects.bucket import Bucket
from audit_emit._readers.archived.manifests import Cold
from audit_emit._runtime.files import naming
from audit_emit._stores.jsonl.directory import make_directory

_MEMORY = "96MB"
_LONGEST = 2 * 1024 * 1024
"""Bytes of a line; a record has at most half of that."""

_COLUMNS = {
    "ts": "VARCHAR",
    "event_type": "VARCHAR",
    "workspace_id": "VARCHAR",
    "user_id": "VARCHAR",
    "actor_kind": "VARCHAR",
    "correlation_id": "VARCHAR",
    "fields": "JSON",
    "v": "INTEGER",
    "id": "VARCHAR",
    "service": "VARCHAR",
    "trace_id": "VARCHAR",
    "span_id": "VARCHAR",
    "chain": "VARCHAR",
    "seq": "BIGINT",
    "prev_hash": "VARCHAR",
    "hash": "VARCHAR",
}
"""The members of a record (docs/wire-format.md, section 1)."""


def write_parquet(
    bucket: Bucket,
    cold: Cold,
    directory: str,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Write the batches that are not there yet; the paths of the new files.

    Args:
        cold: what is archived of a chain.
        directory: the files go to ``<service>/<chain>/`` in it.
        progress: called with the batches that were looked at and those that there are.

    Raises:
        ModuleNotFoundError: duckdb is not installed.
        ArchiveError: an object is not what its manifest says.
        ObjectStoreError: the store gives no answer.
        OSError: a file cannot be written.
    """
    written = []
    manifests = with_records(cold.manifests)
    for number, one in enumerate(manifests, 1):
        part = one.object
        path = os.path.join(directory, one.key_of(part)).removesuffix(f".jsonl.{part.pack}")
        path += ".parquet"
        if not os.path.exists(path):
            make_directory(os.path.dirname(path))
            _write(bucket, one, path)
            written.append(path)
        if progress is not None:
            progress(number, len(manifests))
    return written


def _write(bucket: Bucket, one: Manifest, path: str) -> None:
    part = f"{path}.part"
    place = tempfile.gettempdir()
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as lines:
        with naming(place):
            cut = Lines()

            def take(data: bytes) -> None:
                for block in cut.feed(data):
                    if isinstance(block, bytes):
                        lines.write(_readable(block))

            checked_part(bucket, one, one.object, take)
            lines.write(_readable(cut.rest()[0]))
            lines.flush()
        try:
            _copy(lines.name, part, place)
            os.rename(part, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(part)


def _readable(block: bytes) -> bytes:
    """Lines without invalid UTF-8 and lone surrogates: DuckDB would leave such a record out.

    Otherwise whoever chooses a recorded text could keep the record out of every search.
    """
    text = block if block.isascii() else block.decode("utf-8", "replace").encode()
    return without_halves(text) if b"\\u" in text else text


def _copy(lines: str, part: str, place: str) -> None:
    """Make a Parquet file of lines.

    Args:
        place: for what does not fit into memory.

    Raises:
        OSError: it cannot be written.
    """
    import duckdb  # noqa: PLC0415 - an extra

    names = ", ".join(f"{name}: '{kind}'" for name, kind in _COLUMNS.items())
    try:
        with duckdb.connect() as connection:
            connection.execute("SET autoinstall_known_extensions = false")
            connection.execute(f"SET memory_limit = '{_MEMORY}'")
            connection.execute(f"SET temp_directory = {_quoted(place)}")
            connection.execute("SET threads = 1")
            # Lines that are no records are left out of the table; the log itself has them.
            connection.execute(
                f"COPY (SELECT * FROM read_json({_quoted(lines)}, "  # noqa: S608 - quoted
                f"columns = {{{names}}}, format = 'newline_delimited', ignore_errors = true, "
                f"maximum_object_size = {_LONGEST}) WHERE hash IS NOT NULL ORDER BY seq) "
                f"TO {_quoted(part)} (FORMAT parquet, COMPRESSION zstd)"
            )
    except duckdb.Error as error:
        # Its messages may quote a line of the log.
        why = f"DuckDB cannot write it ({type(error).__name__}); is the disk full?"
        raise OSError(errno.EIO, why, part) from None


def _quoted(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"
