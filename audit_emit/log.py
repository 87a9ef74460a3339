"""An existing log, from Python: read it, search it, verify it, prove a record of it.

    from audit_emit import open_log
    log = open_log("/var/log/audit-emit/shop")
    log.verify().raise_for_findings()

Nothing here writes to the log. Signing it is a setting (``configure(signing_key=…)``) or a command
(``audit-emit checkpoint``).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Unpack

import msgspec

from audit_emit._checkpoints.beginning import Beginning, Removed, beginning_of
from audit_emit._checkpoints.consistency import Consistency, prove_consistency
from audit_emit._checkpoints.prove import newest_checkpoint, prove_record
from audit_emit._checkpoints.standing import Standing, standing_of
from audit_emit._detection.alert import Alert
from audit_emit._format.checkpoint import Checkpoint
from audit_emit._format.proof_file import Evidence, Judgement
from audit_emit._format.record import Head
from audit_emit._query.question import Question, Term
from audit_emit._query.search import ask_log, lines_of
from audit_emit._readers.files.growing import GrowingLog
from audit_emit._readers.files.opening import is_there
from audit_emit._readers.opening import open_reader
from audit_emit._settings import settings as _config
from audit_emit._settings.address import Address, is_address, scheme_of
from audit_emit._settings.archive import check_address, is_archive
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._verify.arguments import VerifyArguments, ns_of_time, options_of, ts_of_time
from audit_emit._verify.findings import Finding, Kind, Report
from audit_emit._verify.remembered import remembered
from audit_emit._verify.verify import verify_log
from audit_emit.errors import ConfigError

__all__ = [
    "Alert",
    "AuditLog",
    "Beginning",
    "Checkpoint",
    "Consistency",
    "Evidence",
    "Finding",
    "Head",
    "Judgement",
    "KeyRing",
    "Kind",
    "Removed",
    "Report",
    "Standing",
    "VerifyArguments",
    "open_log",
]

_DECODER = msgspec.json.Decoder(dict[str, Any])


def open_log(
    where: str | os.PathLike[str] | None = None, *, keys: Sequence[str] = (), archive: str = ""
) -> AuditLog:
    """Open a log in a directory, a database or an archive; see ``AuditLog``.

    Args:
        where: the directory of the log, or its active segment; or ``postgresql://…`` for the one
            chain there, with ``#service=``, ``#tenant=`` or ``#chain=`` where it holds several
            (docs/postgresql.md); or ``s3://…`` for the one chain that is archived there
            (docs/archive.md), with ``#service=`` or ``#chain=``. Without one, the log that this
            process writes, or would write by its environment.
        keys: the keys that are trusted: each one the path of a file, the name of an environment
            variable, or the key itself (hex, PEM, or a C2SP verifier key). Without any,
            ``AUDIT_EMIT_SIGNING_KEY_FILE`` and ``AUDIT_EMIT_SIGNING_KEY`` are looked at.
        archive: ``s3://…`` where older records of the log are; both are read as one log.

    Raises:
        ConfigError: a key cannot be used, or there is no log to look for.
        FileNotFoundError: there is nothing at ``where``.
        OSError: the path cannot be examined, for example because of missing permissions.
        DatabaseError: from the methods of the log: the database gives no answer.
        ObjectStoreError: from the methods of the log: the object store gives no answer.
    """
    if archive:
        check_address(archive)
    if where is None:
        where = _config.settings({}).jsonl
    if where is None:
        raise ConfigError("where", "is needed: this environment keeps no file (AUDIT_EMIT_JSONL)")
    path = os.fsdecode(where)
    ring = KeyRing.from_sources(list(keys))
    if is_archive(path):
        check_address(path)
        return AuditLog(path, ring)
    if is_address(path):
        Address.chosen(path)
        return AuditLog(path, ring, archive)
    if scheme := scheme_of(path):
        raise ConfigError(
            "where", f"no log is read from {scheme}; name a path, postgresql://… or s3://…"
        )
    path = os.path.abspath(path)
    if not is_there(path):
        raise FileNotFoundError(2, "there is no log", path)
    return AuditLog(path, ring, archive)


class AuditLog:
    """One log. Each call reads it in its present state.

    Between calls no file and no connection is open, so there is nothing to close; what ``follow``
    returns holds the file open and is used with ``with``.

    Args:
        path: the absolute path of the directory or active segment, or the address of the log.
        ring: the keys that are trusted.
        archive: the address of the archive with its older segments; empty for none.
    """

    def __init__(self, path: str, ring: KeyRing, archive: str = "") -> None:
        self.path = path
        self._where = (path, archive) if archive else (path,)
        self._ring = ring

    def records(self) -> Iterator[dict[str, Any]]:
        """Every record, oldest first, as plain values; docs/wire-format.md has the members.

        Lines that are not a JSON object are skipped; ``verify`` reports them.

        Raises:
            OSError: a file cannot be read.
            UnsupportedError: a file is packed in a way that cannot be read here.
        """
        return _parsed(lines_of(self._where, self._ring))

    def query(
        self,
        *types: str,
        where: Mapping[str, str] | None = None,
        user_id: str = "",
        workspace_id: str = "",
        correlation_id: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """The records that match all of the arguments, oldest first.

        Args:
            types: event types, or shell patterns such as ``secret.*``; one of them must fit.
            where: by the name of a member or of a field (``key``, ``fields.a.b``, ``tags[0]``),
                a text or a shell pattern.
            user_id, workspace_id, correlation_id: of the record's context.
            since: the earliest time; ``until`` is the first that is too late. Both with a zone.
            limit: at most this many records, the newest ones; ``None`` for all.

        Raises:
            ValueError: a name in ``where`` cannot be read, or a time has no zone.
            OSError: a file cannot be read.
            UnsupportedError: a file is packed in a way that cannot be read here.
        """
        question = Question(
            types=types,
            terms=tuple(Term.parse(f"{name}={wanted}") for name, wanted in (where or {}).items()),
            actor=user_id,
            workspace=workspace_id,
            correlation=correlation_id,
            since=ns_of_time(since),
            until=ns_of_time(until),
        )
        return list(_parsed(ask_log(question, self._where, limit, ring=self._ring).lines))

    def newest(self, count: int = 1) -> list[dict[str, Any]]:
        """The last records, oldest first; lines that are no records are skipped.

        Args:
            count: how many at most.

        Raises:
            OSError: a file cannot be read.
            UnsupportedError: a file is packed in a way that cannot be read here.
        """
        if is_address(self.path) or len(self._where) > 1 or is_archive(self.path):
            return list(deque(self.records(), count))
        with GrowingLog(self.path) as log:
            return list(islice(_parsed(log.newest_first()), count))[::-1]

    def find(self, event_id: str) -> int:
        """The number of the record with this id, for ``prove``.

        Raises:
            LookupError: there is none.
            OSError: a file cannot be read.
            UnsupportedError: a file is packed in a way that cannot be read here.
        """
        for record in self.query(where={"id": event_id}):
            if record["id"] == event_id and isinstance(record.get("seq"), int):
                return int(record["seq"])
        raise LookupError(f"there is no record {event_id}")

    def follow(
        self, cut: Callable[[Path | None], None] = lambda _: None, *, wait: bool = False
    ) -> GrowingLog:
        """The log as it grows, to be closed: ``newest_first()``, ``since(ts)``, then ``poll()``.

        Lines come as bytes without their newline.

        Args:
            cut: called with the path of a copy, or ``None``, when the file was truncated in place.
            wait: whether the log may not exist yet; its records come once it does.

        Raises:
            FileNotFoundError: it is not there.
            NotRegularError: the path is a link, a pipe or a device.
            OSError: a file cannot be read.
        """
        return GrowingLog(self.path, cut, wait=wait)

    def verify(self, **how: Unpack[VerifyArguments]) -> Report:
        """Verify the whole log: its chain, its checkpoints, and the losses that it declares.

        Args:
            how: see ``VerifyArguments``.

        Raises:
            ValueError: an argument cannot be used: a head is malformed, a time has no zone, …
            MemoryFileError: the file that ``remember`` names holds something else.
            OSError: a file cannot be read.
            UnsupportedError: a file is packed in a way that cannot be read here.
        """
        remember = how.get("remember")
        options = options_of(how, self._ring)
        with open_reader(*self._where, ring=self._ring) as reader:
            verified = verify_log(reader, options)
        return (verified if remember is None else remembered(verified, Path(remember))).report

    def anomalies(
        self,
        *,
        rules: str | os.PathLike[str] | None = None,
        since: datetime | None = None,
        now: datetime | None = None,
        verified: bool = True,
    ) -> Iterator[Alert]:
        """What rules (docs/anomalies.md) find unusual in the log, in the order of the events.

        Args:
            rules: a file or a directory of Sigma rules; without one, those of this package.
            since: only alerts from this time on; earlier records are evaluated all the same.
                Findings of ``verify`` are included whatever their time is.
            now: the time by which silence is judged; without one, silence at the end of the log
                gives no alert.
            verified: begin with what ``verify`` finds, as alerts of the rule ``log_tampered``.

        Raises:
            RuleError: a rule is not understood.
            ModuleNotFoundError: rules are in YAML, and PyYAML is missing.
            ValueError: a time has no zone.
            OSError: a file cannot be read.
            UnsupportedError: a file is packed in a way that cannot be read here.
        """
        from audit_emit._detection.judged import judged  # noqa: PLC0415 - only this method needs it

        report = self.verify() if verified else None
        with open_reader(*self._where, ring=self._ring) as reader:
            yield from judged(reader, report, rules, since=ts_of_time(since), now=ns_of_time(now))

    def report(
        self, since: datetime, until: datetime, form: str = "json", *, anomalies: bool = True
    ) -> bytes:
        """The report for a period as a file: who did what, and whether the log verifies.

        Args:
            since: the earliest time; ``until`` is the first that is too late. Both with a zone.
            form: ``json``, ``html``, ``md`` or ``csv`` (docs/report.md), in UTF-8.
            anomalies: look for them in the same pass.

        Raises:
            ValueError: a time has no zone, or there is no such format or period.
            OSError, UnsupportedError: as ``verify``.
        """
        from audit_emit._report.build import report_from  # noqa: PLC0415 - only this method needs it

        times = ns_of_time(since), ns_of_time(until)
        return report_from(self._where, self._ring, times, form, anomalies=anomalies)

    def prove(self, seq: int) -> Evidence:
        """The proof that a record is in the log: ``to_bytes()`` is what ``verify-proof`` checks.

        Args:
            seq: the number of the record.

        Raises:
            CheckpointError: the log is not what was signed.
            LookupError: the record is not in the log.
            ValueError: no checkpoint covers the record and agrees with the log.
            OSError: a file cannot be read, or there is no place for hash tiles.
        """
        with open_reader(*self._where, ring=self._ring) as reader:
            return prove_record(reader, seq, self._ring)

    def checkpoint(self, *, trusted: bool = True) -> Checkpoint | None:
        """The newest checkpoint that a trusted key has signed; ``verify`` says whether it holds.

        Args:
            trusted: ``False`` for the newest one by any key, which proves nothing.

        Raises:
            OSError: the file cannot be read.
        """
        with open_reader(*self._where, ring=self._ring) as reader:
            return newest_checkpoint(reader, self._ring if trusted else None)

    def standing(self) -> Standing:
        """Where the log ends, and up to which record it is signed; nothing is verified.

        Raises:
            OSError: a file cannot be read.
        """
        with open_reader(*self._where, ring=self._ring) as reader:
            return standing_of(reader, self._ring)

    def prove_consistency(self, old: int, new: int) -> Consistency:
        """The proof that the checkpoint of ``new`` records continues the one of ``old`` records.

        Args:
            old, new: their sizes (``head_seq``). The records before the older one may have been
                removed, as long as their hashes (``tile/``) are there.

        Raises:
            ValueError: there is no checkpoint of that size.
            LookupError: records were removed, and their hashes are not here.
            CheckpointError: the one does not continue the other.
            OSError: a file cannot be read, or there is no place for hash tiles.
        """
        with open_reader(*self._where, ring=self._ring) as reader:
            return prove_consistency(reader, old, new, self._ring)

    def beginning(self) -> Beginning:
        """Where the log begins, and why that is not record 1; ``verify`` says if that holds.

        Raises:
            OSError: a file cannot be read.
        """
        with open_reader(self.path, ring=self._ring) as reader:
            return beginning_of(reader, self._ring)

    def head(self) -> Head | None:
        """The newest record's place in the chain; ``None`` in a log without records.

        Worth keeping somewhere else: a log that ends before a stored head was cut.

        Raises:
            OSError: a file cannot be read.
        """
        with open_reader(*self._where, ring=self._ring) as reader:
            return reader.bounds().last


def _parsed(lines: Iterator[bytes] | Sequence[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if b"{" not in line:
            continue
        try:
            yield _DECODER.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
