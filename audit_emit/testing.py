"""For the tests of an application: what it emitted, and failures that ``emit`` would stop.

    with capture() as events:
        client.put("/secrets/API", json={"value": "…"})
    events.assert_emitted("secret.set", key="API", user_id="u1")

Under pytest, the fixture ``audit_events`` is ``capture`` for one test, and what is emitted without
it, by an emitter that nobody has configured, goes to a temporary directory. Nothing else changes
because a test runner is there.
"""

from __future__ import annotations

import glob
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any
from unittest.mock import patch

import msgspec

from audit_emit import _config, _process
from audit_emit._compose import Composer
from audit_emit._emit import Emitter
from audit_emit._misuse import Misuse
from audit_emit.coerce import Normaliser
from audit_emit.context import FIELDS
from audit_emit.integrations import _bridge

__all__ = ["Captured", "capture", "strict"]

STARTED = "audit.started"


class Captured:
    """The events of one ``capture``, during it and after it."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._kept: list[dict[str, Any]] | None = None

    @property
    def all_records(self) -> list[dict[str, Any]]:
        """Every record of the chain in its order, those about the log itself included."""
        if self._kept is not None:
            return list(self._kept)
        _process.flush()
        return self._read()

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records, without ``audit.started``: objects as ``docs/wire-format.md`` has them."""
        return [record for record in self.all_records if record["event_type"] != STARTED]

    def of(self, event_type: str) -> list[dict[str, Any]]:
        """The records of one type."""
        return [record for record in self.all_records if record["event_type"] == event_type]

    def __len__(self) -> int:
        """How many ``records`` there are."""
        return len(self.records)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Over ``records``."""
        return iter(self.records)

    def assert_emitted(self, event_type: str, /, **expected: Any) -> dict[str, Any]:
        """The first record of this type whose members are as expected.

        Args:
            event_type: its type.
            expected: members of ``fields``, or where ``fields`` has no such member, of the record
                itself, such as ``user_id``. As in JSON: a tuple is a list, a date is text.

        Raises:
            AssertionError: there is none; the message shows what there is, and what is not as
                expected in each record of this type.
        """
        __tracebackhide__ = True
        for record in self.of(event_type):
            if not _differences(record, expected):
                return record
        raise AssertionError(
            f"{_wanted(event_type, expected)} was not emitted; what was:"
            f"{self._listed(event_type, expected)}"
        )

    def assert_not_emitted(self, event_type: str, /, **unwanted: Any) -> None:
        """No record of this type has these members.

        Args:
            event_type: the type.
            unwanted: members as for ``assert_emitted``; without any, no record may have the type.

        Raises:
            AssertionError: there is one; the message shows it.
        """
        __tracebackhide__ = True
        for record in self.of(event_type):
            if not _differences(record, unwanted):
                raise AssertionError(
                    f"{_wanted(event_type, unwanted)} was emitted:\n  {_shown(record)}"
                )

    def _listed(self, event_type: str, expected: dict[str, Any]) -> str:
        lines = ""
        for record in self.records:
            lines += f"\n  {_shown(record)}"
            if record["event_type"] == event_type:
                lines += "".join(f"\n    {one}" for one in _differences(record, expected))
        return lines or " nothing"

    def _read(self) -> list[dict[str, Any]]:
        closed = sorted(glob.glob(f"{glob.escape(self._directory)}/audit-*.jsonl"))
        records: list[dict[str, Any]] = []
        for path in (*closed, f"{self._directory}/audit.jsonl"):
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    records += [json.loads(line) for line in file]
        return records

    def _keep(self) -> None:
        self._kept = self._read()


@contextmanager
def capture() -> Iterator[Captured]:
    """Send the events of the process-wide emitter to a private log, and nothing to stdout.

    The settings of the emitter that is there hold (service, keys, processors), and so do those of
    a ``configure`` inside the block; only where events go is not theirs to say, and ``disabled``
    does not count. An ``Emitter`` that the application made for itself is not captured.

    Raises:
        ConfigError: nobody has configured anything, and the environment holds a bad value.
    """
    with tempfile.TemporaryDirectory(prefix="audit_emit-", ignore_cleanup_errors=True) as made:
        directory = os.path.realpath(made)

        def redirected(emitter: Emitter) -> Emitter:
            inside = _private(emitter.settings, directory)
            replaced = _process.swap_emitter(inside)
            for gone in (emitter, replaced):
                if gone is not None:
                    gone.close()
            return inside

        before = _process._current  # noqa: SLF001 - get_emitter would make one
        settings = _config.settings({}) if before is None else before.settings
        captured = Captured(directory)
        _process.swap_emitter(_private(settings, directory))
        try:
            with patch.object(_process, "set_emitter", redirected):
                yield captured
        finally:
            inside = _process.swap_emitter(before)
            if inside is not None:
                inside.close()
            captured._keep()  # noqa: SLF001 - nobody else may


@contextmanager
def strict() -> Iterator[list[BaseException]]:
    """Let out what ``emit`` stops: its own failures, wrong calls, processors and integrations.

    A failure is raised where it happens. When something else stops it there (a framework, a
    thread), it is raised at the end of the block. That the file cannot be written is no such
    failure: ``emit`` says so by returning ``None``.

    Yields:
        The failures so far.
    """
    failures: list[BaseException] = []

    def fail(error: BaseException) -> None:
        if not any(known is error for known in failures):
            failures.append(error)
        raise error

    with (
        patch.object(Emitter, "raising", new=True),
        patch.object(Emitter, "_guard", lambda _, error: fail(error)),
        patch.object(Composer, "_process", _telling(Composer._process, _noting_processors, fail)),  # noqa: SLF001 - the guards are inside
        patch.object(Normaliser, "full", _telling(Normaliser.full, _noting_walk, fail)),
        patch.object(_bridge, "on_failure", fail),
        patch.object(Misuse, "event_type", lambda misuse: fail(misuse.refuse_event_type())),
        patch.object(
            Misuse, "context", lambda misuse, mistake: fail(misuse.refuse_context(mistake))
        ),
    ):
        yield failures
    if failures:
        raise failures[0]


Noted = list[BaseException]


def _telling(
    guarded: Callable[..., Any],
    noting: Callable[[Any, Noted], Any],
    fail: Callable[[BaseException], None],
) -> Callable[..., Any]:
    """A method that calls ``fail`` with what ``guarded`` stopped.

    Args:
        guarded: the method.
        noting: makes a copy of its object that notes what is raised inside the guard.
        fail: raises what it is given.
    """

    def told(owner: Any, *args: Any) -> Any:
        noted: Noted = []
        result = guarded(noting(owner, noted), *args)
        for error in noted:
            fail(error)
        return result

    return told


def _noting_processors(composer: Composer, noted: Noted) -> Composer:
    twin = copy(composer)
    vars(twin)["_processors"] = tuple(
        _noting(processor, noted, dict)
        for processor in composer._processors  # noqa: SLF001 - as above
    )
    return twin


def _noting_walk(normaliser: Normaliser, noted: Noted) -> Normaliser:
    twin = copy(normaliser)
    vars(twin)["_full"] = _noting(normaliser._full, noted, lambda plain: plain)  # noqa: SLF001 - as above
    return twin


def _noting(
    call: Callable[..., Any], noted: Noted, use: Callable[[Any], Any]
) -> Callable[..., Any]:
    """``call``, with what it or the first use of its result raises noted and let through."""

    def through(*args: Any) -> Any:
        try:
            return use(call(*args))
        except BaseException as error:
            noted.append(error)
            raise

    return through


def _private(settings: _config.Settings, directory: str) -> Emitter:
    return Emitter(
        msgspec.structs.replace(
            settings,
            jsonl=f"{directory}/audit.jsonl",
            stdout=False,
            disabled=False,
            durability="os",
        )
    )


def _wanted(event_type: str, members: dict[str, Any]) -> str:
    return f"{event_type} with {members}" if members else event_type


def _differences(record: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """What is not as expected in a record, in words."""
    members = {**record, **record["fields"]}
    return [
        f"{name} is {members[name]!r}, not {value!r}" if name in members else f"{name} is not there"
        for name, value in expected.items()
        if name not in members or members[name] != value
    ]


def _shown(record: dict[str, Any]) -> str:
    """A record on one line: its type, its fields, and the ids that are set."""
    ids = "".join(f" {name}={record[name]}" for name in FIELDS if record.get(name))
    return f"{record['event_type']} {json.dumps(record['fields'], ensure_ascii=True)}{ids}"
