"""For the tests of an application: checks what it emitted, and raises what ``emit`` would stop.

    with capture() as events:
        client.put("/secrets/API", json={"value": "…"})
    events.assert_emitted("secret.set", key="API", user_id="u1")

Under pytest, the fixture ``audit_events`` is ``capture`` for one test. Events that are emitted
without it, by an emitter that was not configured, go to a temporary directory. Nothing else behaves
differently under a test runner.
"""

from __future__ import annotations

import glob
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from audit_emit._core import default as _process
from audit_emit._core.emitter import Emitter
from audit_emit._runtime import observer as _observer
from audit_emit._settings import settings as _config
from audit_emit._stores.memory import Chain, MemoryStore
from audit_emit.context import FIELDS

__all__ = ["Captured", "Chain", "MemoryStore", "capture", "strict"]

STARTED = "audit.started"


class Captured:
    """The events of one ``capture``; can be used inside the block and after it."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._kept: list[dict[str, Any]] | None = None

    @property
    def all_records(self) -> list[dict[str, Any]]:
        """All records of the chain, in order, including those about the log itself."""
        if self._kept is not None:
            return list(self._kept)
        _process.flush()
        return self._read()

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records except ``audit.started``, as dictionaries (``docs/wire-format.md``)."""
        return [record for record in self.all_records if record["event_type"] != STARTED]

    def of(self, event_type: str) -> list[dict[str, Any]]:
        """The records of one type."""
        return [record for record in self.all_records if record["event_type"] == event_type]

    def __len__(self) -> int:
        """The number of ``records``."""
        return len(self.records)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Iterate over ``records``."""
        return iter(self.records)

    def assert_emitted(self, event_type: str, /, **expected: Any) -> dict[str, Any]:
        """Assert that a record was emitted, and return the first that matches.

        Args:
            event_type: the type of the record.
            expected: expected members of ``fields``, or, if ``fields`` has no such member, of the
                record itself, such as ``user_id``. Values are as in JSON: a tuple is a list, a date
                is text.

        Raises:
            AssertionError: no record matches. The message lists what was emitted, and how each
                record of this type differs.
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
        """Assert that no record of this type has these members.

        Args:
            event_type: the type.
            unwanted: members as for ``assert_emitted``; without any, no record may have the type.

        Raises:
            AssertionError: there is such a record; the message shows it.
        """
        __tracebackhide__ = True
        for record in self.of(event_type):
            if not _differences(record, unwanted):
                raise AssertionError(
                    f"{_wanted(event_type, unwanted)} was emitted:\n  {_shown(record)}"
                )

    def assert_fits_schemas(self) -> None:
        """Assert that every event fits the schema of its type, where one is configured.

        The fixture ``audit_events`` does so at the end of the test.

        Raises:
            AssertionError: an event does not fit; the message names it and what does not fit.
        """
        __tracebackhide__ = True
        unfit = [record for record in self.records if "_schema" in record["fields"]]
        if unfit:
            lines = "".join(
                f"\n  {one['event_type']}: {', '.join(one['fields']['_schema'])}" for one in unfit
            )
            raise AssertionError(f"events do not fit their schemas (docs/schemas.md):{lines}")

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

    The settings of the process-wide emitter apply (service, keys, processors), and so do those of a
    ``configure`` inside the block, except for ``disabled`` and for the settings that say where
    events go. Events of an ``Emitter`` that the application has made itself are not captured.

    Raises:
        ConfigError: nothing was configured, and the environment holds an invalid setting.
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

        before = _process.current_emitter()
        settings = _config.settings({}) if before is None else before.settings
        captured = Captured(directory)
        _process.swap_emitter(_private(settings, directory))
        try:
            _process.redirect, around = redirected, _process.redirect
            try:
                yield captured
            finally:
                _process.redirect = around
        finally:
            inside = _process.swap_emitter(before)
            if inside is not None:
                inside.close()
            captured._keep()  # noqa: SLF001 - private to this module


@contextmanager
def strict() -> Iterator[list[BaseException]]:
    """Raise what ``emit`` otherwise stops: internal errors, wrong calls, failing processors.

    A failure is raised where it happens. If other code stops it there (a framework, a thread), it
    is raised again at the end of the block. A file that cannot be written is not such a failure:
    ``emit`` reports that by returning ``None``.

    Yields:
        The failures so far.
    """
    failures: list[BaseException] = []

    def fail(error: BaseException) -> None:
        if not any(known is error for known in failures):
            failures.append(error)
        raise error

    around, _observer.strict = _observer.strict, fail
    try:
        yield failures
    finally:
        _observer.strict = around
    if failures:
        raise failures[0]


def _private(settings: _config.Settings, directory: str) -> Emitter:
    return Emitter(
        msgspec.structs.replace(
            settings,
            jsonl=f"{directory}/audit.jsonl",
            store=None,
            stdout=False,
            disabled=False,
            durability="os",
        )
    )


def _wanted(event_type: str, members: dict[str, Any]) -> str:
    return f"{event_type} with {members}" if members else event_type


def _differences(record: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Describe how a record differs from what is expected."""
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
