"""How ``doctor`` checks the way to Loki: may the shipper read the files, and does Loki answer?"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from audit_emit._facade.files import Layout
from audit_emit._facade.loki import from_environment
from audit_emit.errors import ConfigError

DAY = 24 * 3600 * 10**9
_QUICK = 10.0
"""Seconds that ``doctor`` waits for Loki, at most."""


class Reader(NamedTuple):
    """A user of this machine, as the kernel asks about him."""

    name: str
    uid: int
    groups: frozenset[int]


def reader(name: str) -> Reader | None:
    """The user of that name; ``None`` when there is none."""
    import pwd  # noqa: PLC0415 - not on every platform

    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Reader(name, entry.pw_uid, frozenset(os.getgrouplist(name, entry.pw_gid)))


def unreadable(path: Path, who: Reader) -> str:
    """Why a user cannot read a log, by owners, groups and modes; empty when he can.

    Access control lists are not looked at.

    Raises:
        OSError: we may not look ourselves.
    """
    for directory in reversed(path.absolute().parents):
        if not _may(directory, who, 0o1):
            return f"{directory} lets {who.name} not in ({_ownership(directory)})"
    if not _may(path.absolute().parent, who, 0o4):
        return f"{path.parent} cannot be listed by {who.name} ({_ownership(path.parent)})"
    layout = Layout.of(str(path))
    for file in map(Path, (layout.active, *layout.closed_segments())):  # what file.yaml names
        if not _may(file, who, 0o4):
            return f"{file} cannot be read by {who.name} ({_ownership(file)})"
    return ""


def _may(path: Path, who: Reader, bit: int) -> bool:
    """Whether a user has a permission; what is not there is nobody's obstacle."""
    try:
        state = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    if who.uid == 0:
        return True
    if state.st_uid == who.uid:
        return bool(state.st_mode >> 6 & bit)
    if state.st_gid in who.groups:
        return bool(state.st_mode >> 3 & bit)
    return bool(state.st_mode & bit)


def _ownership(path: Path) -> str:
    state = path.stat()
    return f"mode {stat.S_IMODE(state.st_mode):04o}, uid {state.st_uid}, gid {state.st_gid}"


class Answer(NamedTuple):
    """What Loki said: facts by name, and what is wrong or should be known."""

    facts: dict[str, Any]
    problem: str = ""
    warning: str = ""


def ask_loki(url: str, tenant: str | None, service: str, environ: Mapping[str, str]) -> Answer:
    """Whether Loki answers, as this tenant and with these credentials, and what it has newest."""
    facts: dict[str, Any] = {"tenant": tenant or "none"}
    try:
        from audit_emit._facade.loki_client import LokiClient  # noqa: PLC0415 - an extra
        from audit_emit.errors import LokiError  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        return Answer(facts, problem="httpx is not installed; pip install 'audit-emit[loki]'")
    try:
        options = from_environment(environ)
        options["timeout"] = min(options["timeout"], _QUICK)
        client = LokiClient(url, tenant=tenant, sleep=lambda _: None, **options)
    except ConfigError as error:
        return Answer(facts, problem=str(error))
    now = time.time_ns()
    with client:
        facts["address"] = client.url
        try:
            found = client.query_range(
                f'{{job="audit", service="{service}"}}',
                now - DAY,
                now + DAY // 24,
                direction="backward",
                limit=1,
            )
            newest = next(iter(found), None)
        except LokiError as error:
            return Answer(facts, problem=str(error))
    if newest is None:
        warning = f"Loki has nothing of {service} of the last day: does Vector ship it"
        warning += f", to the tenant {tenant}?" if tenant else "?"
        return Answer({**facts, "newest": "none"}, warning=warning)
    return Answer({**facts, "newest": f"{(now - newest.ts) / 1e9:.0f} s ago"})
