from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from audit_emit._archive.daily import due, hour_of, pause_after, seconds_until, utc
from audit_emit._archive.guard import Noted, note, noted
from audit_emit.cli._archive_worker import daily
from audit_emit.cli._archiving import worker_of
from audit_emit.cli._exit import Exit
from audit_emit.errors import DatabaseError, SignerError

THREE = (3, 0)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-05-{text}").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "done", "day"),
    [
        ("19T02:59", "2026-05-18", ""),
        ("19T03:00", "2026-05-18", "2026-05-19"),
        ("19T23:59", "2026-05-19", ""),
        ("19T01:00", "2026-05-17", "2026-05-18"),
        ("19T01:00", "", "2026-05-18"),
        ("19T04:00", "2026-05-21", "2026-05-19"),  # a day that is to come was not done
    ],
)
def test_a_day_is_due_from_its_hour_on_until_it_is_done(now: str, done: str, day: str) -> None:
    assert due(at(now), THREE, done) == day


def test_the_hour_comes_next_today_or_tomorrow() -> None:
    assert seconds_until(at("19T02:00"), THREE) == 3600
    assert seconds_until(at("19T03:00"), THREE) == 86_400


def test_pauses_after_failures_grow_up_to_an_hour() -> None:
    assert [pause_after(number) for number in (1, 2, 3, 50)] == [60, 120, 240, 3600]


@pytest.mark.parametrize("text", ["3:00", "24:00", "03:60", "03", "0300", ""])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="03:00"):
        hour_of(text)


def end_soon() -> None:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()


def test_a_day_that_is_done_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_emit.cli._archive_worker.utc", lambda _: at("19T12:00"))
    guard = str(tmp_path / "day")
    note(guard, "2026-05-19")
    end_soon()
    assert daily("00:00", guard, lambda _: pytest.fail("it was done"), enabled=True) == Exit.OK


def test_a_day_that_failed_is_not_noted_and_one_that_worked_is(tmp_path: Path) -> None:
    guard = str(tmp_path / "day")
    today = utc(time.time_ns()).strftime("%Y-%m-%d")
    for status, day in ((Exit.NO_ANSWER, ""), (Exit.OK, today)):
        end_soon()
        assert daily("00:00", guard, lambda _, status=status: status, enabled=True) == Exit.OK  # type: ignore[misc]
        assert noted(guard).day >= day
        assert bool(noted(guard).day) is bool(day)
        assert bool(noted(guard).failed) is not bool(day)


@pytest.mark.parametrize("text", [b"", b"\xff\n", b"19 May\nwhat\n", b"2026-05-19" * 9])
def test_a_guard_that_holds_something_else_says_that_no_day_is_done(
    tmp_path: Path, text: bytes
) -> None:
    (tmp_path / "day").write_bytes(text)
    assert noted(str(tmp_path / "day")).day == ""


def test_a_guard_is_one_line_for_the_day_and_one_for_what_failed(tmp_path: Path) -> None:
    note(str(tmp_path / "day"), "2026-05-19", "denied: \x1b[31m\nü")
    assert noted(str(tmp_path / "day")) == Noted("2026-05-19", "denied: \x1b[31m \\xfc")


@pytest.mark.parametrize(
    "error",
    [
        DatabaseError("database-away", "connection refused"),
        OSError(errno.ENOSPC, "No space left on device", "archive.jsonl"),
        SignerError("unreachable", "the signer is away"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_away_for_a_while_ends_no_worker(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    monkeypatch.setattr("audit_emit.cli._archive_worker.pause_after", lambda _: 0.0)
    guard, days = str(tmp_path / "day"), []

    def work(_: Callable[[], bool]) -> Exit:
        days.append(noted(guard).day)
        if len(days) == 1:
            raise error
        os.kill(os.getpid(), signal.SIGTERM)
        return Exit.OK

    assert daily("00:00", guard, work, enabled=True) == Exit.OK
    assert days == ["", ""]
    assert capsys.readouterr().err.count("audit-emit: ") == 2


def test_a_worker_that_cannot_note_its_day_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("audit_emit.cli._archive_worker.pause_after", lambda _: 0.0)
    monkeypatch.setattr("audit_emit.cli._archive_worker.utc", lambda _: at("19T12:00"))
    guard = tmp_path / "away" / "day"
    tries: list[None] = []

    def work(_: Callable[[], bool]) -> Exit:
        tries.append(None)
        if len(tries) == 2:
            guard.parent.mkdir()
            end_soon()
        return Exit.OK

    assert daily("00:00", str(guard), work, enabled=True) == Exit.OK
    assert len(tries) == 2
    assert noted(str(guard)).day == "2026-05-19"
    assert "away" in capsys.readouterr().err


def test_a_worker_ends_when_nobody_reads_what_it_prints(tmp_path: Path) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    pipe = os.fdopen(writes, "w")

    def work(_: Callable[[], bool]) -> Exit:
        click.echo("archived", file=pipe)
        return Exit.OK

    with pytest.raises(BrokenPipeError):
        daily("00:00", str(tmp_path / "day"), work, enabled=True)
    with pytest.raises(BrokenPipeError):
        pipe.close()


def test_workers_of_several_databases_or_archives_have_a_day_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def of(log: str, where: str = "s3://audit/prod") -> str:
        return worker_of([log], "", where)

    shop = of("postgresql://me@db/shop")
    others = [
        of("postgresql://me@db/crm"),
        of("postgresql://me@db/shop#service=a"),
        of("postgresql://me@db/shop", "s3://audit/elsewhere"),
    ]
    assert len({shop, *others}) == 4
    assert of("postgresql://me:secret@db/shop") == shop
