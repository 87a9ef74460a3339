"""For the tests of an application: what it emitted, and failures that ``emit`` would stop.

    with capture() as events:
        client.put("/secrets/API", json={"value": "…"})
    events.assert_emitted("secret.set", key="API", user_id="u1")

Nothing changes by itself because a test runner is there. Under pytest, the fixture
``audit_events`` is ``capture`` for one test.
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

    def assert_emitted(self, event_type: str, /, **expected: Any) -> dict[str, Any]:
        """The first record of this type whose members are as expected.

        Args:
            event_type: its type.
            expected: members of ``fields``, or where ``fields`` has no such member, of the record
                itself, such as ``user_id``. As in JSON: a tuple is a list, a date is text.

        Raises:
            AssertionError: there is none; the message shows what there is.
        """
        __tracebackhide__ = True
        for record in self.of(event_type):
            members = {**record, **record["fields"]}
            if all(name in members and members[name] == expected[name] for name in expected):
                return record
        shown = "".join(f"\n  {_shown(record)}" for record in self.records) or " nothing"
        wanted = f"{event_type} with {expected}" if expected else event_type
        raise AssertionError(f"{wanted} was not emitted; what was:{shown}")

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


def _shown(record: dict[str, Any]) -> str:
    return f"{record['event_type']} {json.dumps(record['fields'], ensure_ascii=True)}"
