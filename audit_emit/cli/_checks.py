"""What ``doctor`` finds out: one section per question, and what is wrong with the answers."""

from __future__ import annotations

import difflib
import os
import platform
import shutil
import stat
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from audit_emit import Settings, __version__
from audit_emit._facade.anchors import VARIABLE as ANCHORS
from audit_emit._facade.anchors import in_words, standing_of
from audit_emit._facade.loki import PREFIX as LOKI_PREFIX
from audit_emit._facade.loki import VARIABLES as LOKI_VARIABLES
from audit_emit._facade.records import time_of
from audit_emit._facade.settings import (
    PREFIX,
    SETTINGS,
    STALE,
    STDERR,
    SWITCH,
    Address,
    passed_over,
    settings,
)
from audit_emit._facade.settings import state as compiled_state
from audit_emit._facade.text import without_passwords
from audit_emit.cli import _machine as machine
from audit_emit.cli import _pipeline as pipeline
from audit_emit.cli._records import parse
from audit_emit.cli._subject_keys import fault_of
from audit_emit.cli._unforeseen import DEBUG
from audit_emit.errors import ConfigError, DatabaseError
from audit_emit.log import AuditLog, KeyRing

EXTRAS = {
    "cli": "rich",
    "flask": "flask",
    "fastapi": "fastapi",
    "sign": "cryptography",
    "loki": "httpx",
    "postgres": "psycopg",
    "zstd": "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd",
}
AHEAD = 60 * 10**9
"""Nanoseconds by which two clocks of a machine room may differ."""

LITTLE_SPACE = 64 * 1024 * 1024

ADVICE = {
    "ecs": "ECS: the log driver's default mode is non-blocking, which drops lines without a word "
    'when its buffer is full; set "mode": "blocking" in logConfiguration.options',
    "kubernetes": "Kubernetes: a file in the container's own layer is gone with the pod; put the "
    "log on a volume",
    "docker": "Docker: see `docker inspect -f '{{.HostConfig.LogConfig}}'`; with mode=non-blocking "
    "stdout lines are dropped without a word when the buffer is full, and with json-file and "
    "max-size=1m a shipper got 6,017 and 7,763 of 20,001 lines of a burst (all of them at a steady "
    "400 a second); more and larger files (max-file, max-size), journald or the JSONL file help",
    "podman": "Podman: a file in the container's own layer is gone with the container; put the "
    "log on a volume",
    "journald": "journald drops lines beyond its rate limit; set LogRateLimitIntervalSec=0 in the "
    "unit, or ship the JSONL file instead",
}


_MAY_CHANGE = """\
SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class
WHERE oid = 'audit_emit.records'::regclass"""


@dataclass
class Report:
    """What was found. ``problems`` must be mended; ``warnings`` should be known."""

    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    file: dict[str, Any] = field(default_factory=dict)
    stdout: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    pipeline: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready to be JSON."""
        return {"status": "problems" if self.problems else "ok", **asdict(self)}


class Way(NamedTuple):
    """The way to Loki; what is empty is not looked at.

    Attributes:
        loki: its address.
        tenant: see ``LokiClient``.
        reader: the user of the shipper.
    """

    loki: str = ""
    tenant: str | None = None
    reader: str = ""


def examine(
    arguments: Mapping[str, Any], environ: Mapping[str, str], way: Way | None = None
) -> Report:
    """Look at the settings, at the machine and at the way to Loki.

    Args:
        arguments: settings by name, as for ``configure``; ``None`` counts as not given.
        environ: where the other settings are looked for.
    """
    report = Report()

    def bad_value(error: ConfigError) -> None:
        report.problems.append(f"{error}; the default is used instead")

    current = settings(arguments, environ, on_error=bad_value)
    _settings(report, current, environ)
    _unknown_variables(report, environ)
    if current.jsonl is not None and not current.disabled:
        _file(report, current, Path(current.jsonl))
    if current.address is not None and not current.disabled:
        _store(report, current, current.address)
    _stdout(report, current)
    _machine(report, environ)
    _pipeline(report, current, way or Way(), environ)
    if current.subject_keys is not None and not current.disabled:
        report.problems.extend(fault_of(current.subject_keys))
    return report


def _settings(report: Report, current: Settings, environ: Mapping[str, str]) -> None:
    for name, value in current.public().items():
        report.settings[name] = {"value": value, "source": current.sources[name]}
    if current.disabled:
        report.problems.append("AUDIT_EMIT_DISABLED: nothing at all is recorded")
    elif current.store is not None:
        pass  # see ``_store``
    elif current.jsonl is None and not current.stdout:
        report.problems.append("neither a file nor stdout: nothing is recorded")
    elif current.jsonl is None:
        report.warnings.append("no file is kept: what is on stdout alone cannot be proved")
    if current.sources["service"] == "default":
        report.warnings.append(
            f"the service has no name and is recorded as {current.service!r}; set "
            "AUDIT_EMIT_SERVICE, or services on one machine share a log"
        )
    if current.hash_key is None:
        report.warnings.append(
            "no hash key: held-back values are written as [redacted], and equal secrets cannot be "
            "recognised; what hash_value_prefix gives (value_hash) is plain SHA-256, so a short "
            "value such as a PIN can be guessed from it; set AUDIT_EMIT_HASH_KEY_FILE"
        )
    key_file = environ.get(PREFIX + "HASH_KEY_FILE")
    if key_file:
        _key_file(report, key_file)


def _key_file(report: Report, path: str) -> None:
    """Who may read the hash key; as for signing keys, its group may."""
    try:
        # A secret of Kubernetes is a link: the mode that counts is its target's.
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except (OSError, ValueError):
        return
    told = f"the hash key file has mode {mode:04o}: "
    if mode & 0o022:
        report.problems.append(f"{told}others may change it; chmod 600")
    elif mode & 0o007 and (os.path.islink(path) or not mode & 0o222):
        report.warnings.append(f"{told}every user here may read it; mount it with 0400 or 0440")
    elif mode & 0o007:
        report.problems.append(f"{told}others may read it; chmod 600")


def _unknown_variables(report: Report, environ: Mapping[str, str]) -> None:
    known = [PREFIX + setting.variable for setting in SETTINGS.values()]
    known += [SWITCH, DEBUG, ANCHORS, *(LOKI_PREFIX + variable for variable in LOKI_VARIABLES)]
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            hint = f"; is {close[0]} meant?" if close else ""
            report.warnings.append(f"{name} is set, and is not a variable of this version{hint}")


def _file(report: Report, current: Settings, path: Path) -> None:
    directory = machine.nearest(path)
    probe = machine.probe(directory)
    free = shutil.disk_usage(directory).free
    kind = machine.file_system(directory)
    report.file = {
        "path": str(path),
        "because": _because(current, path),
        "directory": "is there" if directory == path.parent else f"will be made in {directory}",
        "writable": probe.writable,
        "free_bytes": free,
        "file_system": kind,
        "lock": probe.lock,
        "sync_ms": probe.sync_ms,
        "mode": machine.mode_of(path) or "no file yet",
    }
    if not probe.writable:
        report.problems.append(
            f"{directory} cannot be written by this user (uid {_uid()}); {_instead(current, path)}"
        )
    elif probe.lock != "works":
        report.problems.append(
            f"no file lock in {directory} ({probe.lock}): let only one process write this log"
        )
    if free < LITTLE_SPACE:
        report.problems.append(f"{directory} has only {free // 1024} KiB free")
    elif free < 2 * current.max_bytes:
        report.warnings.append(f"{directory} has room for less than two segments (max_bytes)")
    _file_system(report, directory, kind)
    _links_and_modes(report, path)
    _end_of(report, path)


def _instead(current: Settings, path: Path) -> str:
    wanted = passed_over(current) or path.parent
    return f"make {wanted} a directory of that user (in a container a volume), or set {PREFIX}JSONL"


def _because(current: Settings, path: Path) -> str:
    source = current.sources["jsonl"]
    if source != "default":
        return "an argument says so" if source == "argument" else "AUDIT_EMIT_JSONL says so"
    system = passed_over(current)
    if not system:
        return f"the default: {path.parent} can be written"
    return f"the default: {system} cannot be written, so the user's state directory is used"


def _file_system(report: Report, directory: Path, kind: str) -> None:
    if kind.startswith(machine.NETWORK):
        report.problems.append(
            f"{directory} is on {kind}: appends of several machines can overwrite each other; "
            "use a local disk"
        )
    elif kind in machine.VOLATILE:
        report.warnings.append(f"{directory} is on {kind}, which {machine.VOLATILE[kind]}")


def _links_and_modes(report: Report, path: Path) -> None:
    link = machine.link_in(path)
    if link == path:
        report.problems.append(f"{path} is a symbolic link, which is refused")
    elif link is not None:
        report.warnings.append(f"{link} is a symbolic link to {os.path.realpath(link)}")
    mode = machine.mode_of(path)
    if mode and int(mode, 8) & 0o027:
        report.problems.append(f"{path} has mode {mode}, more open than 0640")
    if int(machine.mode_of(path.parent.resolve()) or "0", 8) & 0o002:
        report.problems.append(f"anybody can replace files in {path.parent}; use mode 0750")
    if mode and not os.access(path, os.R_OK | os.W_OK):
        report.problems.append(f"{path} belongs to somebody else: uid {_uid()} cannot append to it")


def _end_of(report: Report, path: Path) -> None:
    """How the log ends, as its next writer will find it."""
    try:
        log = AuditLog(str(path), KeyRing()).follow()
    except OSError:
        return
    try:
        torn = log.torn(1)
        line = next(log.newest_first(), None)
        last = None if line is None else parse(line)
        report.file["bytes"] = os.path.getsize(path)
    except OSError:
        return
    finally:
        log.close()
    report.file["outside"] = in_words(standing_of(str(path.parent)))
    if last is not None:
        report.file["last_record"] = {"seq": last.seq, "ts": last.ts, "event_type": last.event_type}
        ahead = (time_of(last.ts) or 0) - time.time_ns()
        if ahead > AHEAD:
            report.problems.append(
                f"the last record of {path} is {ahead // 10**9} s ahead of this clock: Loki "
                "refuses what is more than 10 minutes ahead (creation_grace_period)"
            )
    elif line is not None:
        report.warnings.append(f"the last line of {path} is not a record")
    if torn:
        report.warnings.append(f"{path} ends in a torn line; the next start will declare it")


def _store(report: Report, current: Settings, address: Address) -> None:
    """Whether the database takes records, and what its role may do besides."""
    from audit_emit._facade.database import driver, schema  # noqa: PLC0415 - an extra

    if current.jsonl is None:
        report.warnings.append(
            "the chain is in PostgreSQL: what waits in memory is lost with kill -9 (milliseconds' "
            "worth; up to 10,000 events while the database is away); emit_strict, the outbox, or a "
            "file as well (AUDIT_EMIT_JSONL) lose none"
        )
    try:
        with driver.connect(address, name="audit_emit doctor") as connection:
            schema.refuse_unfit(schema.state(connection), address)
            (may_change,) = connection.execute(_MAY_CHANGE).fetchone() or (False,)
    except (DatabaseError, ConfigError) as error:
        report.problems.append(str(error))
        return
    except driver.load().Error as error:
        report.problems.append(str(driver.failed(error, address)))
        return
    if may_change:
        report.warnings.append(
            f"the role that logs in at {address.shown} owns the tables or is a superuser: it can "
            "undo what protects them; let it have audit_emit_writer only"
        )


def _stdout(report: Report, current: Settings) -> None:
    kind = machine.what_is(2 if current.stdout == STDERR else 1)
    report.stdout = {
        "enabled": bool(current.stdout),
        "stream": STDERR if current.stdout == STDERR else "stdout",
        "is": f"{kind} (of this command; a service has its own)",
        "non_blocking_writes": machine.non_blocking_writes(),
    }
    if current.stdout_max_bytes > 4096:
        report.warnings.append(
            f"stdout_max_bytes is {current.stdout_max_bytes}: beyond 4096 bytes lines of several "
            "processes on one pipe can interleave"
        )


def _machine(report: Report, environ: Mapping[str, str]) -> None:
    around = machine.surroundings(environ)
    report.machine = {
        "audit_emit": __version__,
        "python": machine.python(),
        "emit": compiled_state,
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "uid": _uid(),
        "runs_in": around,
        "extras": [extra for extra, module in EXTRAS.items() if _is_there(module)],
    }
    report.warnings.extend(ADVICE[name] for name in around)
    if compiled_state == STALE:
        report.warnings.append(f"emit is {STALE}")


def _pipeline(report: Report, current: Settings, way: Way, environ: Mapping[str, str]) -> None:
    if way.reader and current.jsonl is not None:
        _reader(report, way.reader, Path(current.jsonl))
    if way.loki:
        answer = pipeline.ask_loki(way.loki, way.tenant, current.service, environ)
        report.pipeline["loki"] = answer.facts
        if answer.problem:
            report.problems.append(answer.problem)
        if answer.warning:
            report.warnings.append(answer.warning)


def _reader(report: Report, name: str, path: Path) -> None:
    """Whether the user of the shipper can read the files."""
    who = pipeline.reader(name)
    if who is None:
        report.problems.append(f"there is no user {without_passwords(name)} on this machine")
        return
    try:
        why = pipeline.unreadable(path, who)
    except OSError as error:
        report.pipeline["reader"] = f"{name}: unknown"
        report.warnings.append(
            f"whether {name} can read the files is not known, as this user may not look at "
            f"{error.filename or path}; run doctor as root"
        )
        return
    report.pipeline["reader"] = f"{name}: {'no' if why else 'can read the files'}"
    if why:
        report.problems.append(f"{why}; put it into the group of the files (0750, 0640)")


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False  # nor is the package that it would be in


def _uid() -> int:
    return os.getuid()
