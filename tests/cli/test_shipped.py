"""``audit-emit shipped``: names for whoever archives, a reason for what is not there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_loki import LokiServer, status
from support.log_and_loki import LogAndLoki

from audit_emit.cli import main
from audit_emit.cli._exit import Exit

Output = pytest.CaptureFixture[str]


@pytest.fixture
def log(tmp_path: Path, fake_loki: LokiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Ten records in a closed segment and one in the active; all in Loki but the fourth."""
    monkeypatch.setattr("audit_emit._loki.http.TRIES", 1)
    monkeypatch.setenv("AUDIT_EMIT_LOKI_URL", fake_loki.url)
    made = LogAndLoki(tmp_path / "log", fake_loki.url)
    made.chain.add(11)
    made.directory.mkdir()
    made.chain.write(made.directory / f"audit-{1:020d}.jsonl", 1, 10)
    made.write(11)
    made.ship(made.without(4))
    yield made.directory
    made.ship()
    made.client.close()


def complete(fake_loki: LokiServer, log: Path) -> None:
    """Loki gets the record that it lacks."""
    assert main(["reconcile", str(log), "--backfill"]) == Exit.OK


def test_a_segment_that_is_not_there_is_said_with_its_number(log: Path, capsys: Output) -> None:
    assert main(["shipped", str(log)]) == Exit.FINDINGS
    out, err = capsys.readouterr()
    path = log / f"audit-{1:020d}.jsonl"
    assert (out, err) == ("", f"1 of 10 records of {path} are not in Loki\n")


def test_a_segment_that_is_there_is_named(log: Path, fake_loki: LokiServer, capsys: Output) -> None:
    complete(fake_loki, log)
    capsys.readouterr()
    assert main(["shipped", str(log)]) == Exit.OK
    assert capsys.readouterr() == (f"{log}/audit-{1:020d}.jsonl\n", "")


def test_as_json(log: Path, capsys: Output) -> None:
    assert main(["shipped", str(log), "--json"]) == Exit.FINDINGS
    found = json.loads(capsys.readouterr().out)
    (one,) = found["segments"]
    assert (one["records"], one["there"], one["shipped"]) == (10, 9, False)


def test_the_log_of_this_environment(
    log: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_JSONL", str(log / "audit.jsonl"))
    assert main(["shipped"]) == Exit.FINDINGS
    assert "1 of 10" in capsys.readouterr().err


def test_lines_that_are_no_records_are_said(
    log: Path, fake_loki: LokiServer, capsys: Output
) -> None:
    with (log / "audit.jsonl").open("ab") as file:
        file.write(b"{torn\n")
    main(["shipped", str(log)])
    assert "1 line of the log is no record: Loki has no such line" in capsys.readouterr().err


@pytest.mark.parametrize("more", [b"garbage\n", b'{"ts":"2026-0'], ids=["a line", "a torn end"])
def test_a_segment_with_bytes_that_nobody_declared_is_not_whole(
    more: bytes, log: Path, fake_loki: LokiServer, capsys: Output
) -> None:
    complete(fake_loki, log)
    capsys.readouterr()
    segment = log / f"audit-{1:020d}.jsonl"
    segment.write_bytes(segment.read_bytes() + more)
    assert main(["shipped", str(log)]) == Exit.FINDINGS
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{len(more)} bytes of {segment} are no record, and none declares them" in err


def test_a_segment_of_nothing_but_garbage_is_not_whole(
    log: Path, fake_loki: LokiServer, capsys: Output
) -> None:
    complete(fake_loki, log)
    capsys.readouterr()
    (log / f"audit-{1:020d}.jsonl").write_bytes(b"garbage\n" * 10)
    assert main(["shipped", str(log)]) == Exit.FINDINGS
    assert capsys.readouterr().out == ""


def test_a_log_without_a_closed_segment(log: Path, capsys: Output) -> None:
    (log / f"audit-{1:020d}.jsonl").unlink()
    assert main(["shipped", str(log)]) == Exit.NOTHING
    assert capsys.readouterr() == ("", "there is no closed segment\n")


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["LOG/nowhere"], Exit.NOTHING, "there is no log LOG/nowhere; there is: LOG"),
        (["LOG/audit-00000000000000000001.jsonl"], Exit.USAGE, "is not a whole log"),
        (["LOG", "--label", "env"], Exit.USAGE, "env=prod"),
        (["LOG", "--label", "job=x"], Exit.USAGE, "one of the pipeline's own"),
        (["LOG", "--loki", ""], Exit.USAGE, "--loki is empty"),
    ],
)
def test_what_cannot_be_asked_is_told(
    words: list[str], code: int, why: str, log: Path, capsys: Output
) -> None:
    assert main(["shipped", *(word.replace("LOG", str(log)) for word in words)]) == code
    assert why.replace("LOG", str(log)) in capsys.readouterr().err


def test_without_a_loki_it_asks_which(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.delenv("AUDIT_EMIT_LOKI_URL", raising=False)
    assert main(["shipped", str(log)]) == Exit.USAGE
    assert "which Loki?" in capsys.readouterr().err


def test_loki_in_trouble_names_nothing(log: Path, fake_loki: LokiServer, capsys: Output) -> None:
    fake_loki.faults = [status(500)]
    assert main(["shipped", str(log)]) == Exit.NO_ANSWER
    assert capsys.readouterr().out == ""
