"""``audit-emit report`` as it is called."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.chain_builder import BEGIN, SECOND, MadeChain, altered

from audit_emit.cli import main
from audit_emit.cli._exit import Exit

SINCE = ["--since", "2026-05-19T20:00:00Z", "--until", "2026-05-19T21:00:00Z"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    MadeChain().add(5).write(tmp_path / "log" / "audit.jsonl")
    return tmp_path / "log"


def test_a_report_is_markdown_unless_another_format_is_named(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(log), *SINCE]) == Exit.OK
    assert capsys.readouterr().out.startswith("# Audit report")


def test_the_page_goes_to_a_file(log: Path, tmp_path: Path) -> None:
    page = tmp_path / "may.html"
    assert main(["report", str(log), *SINCE, "--format", "html", "--out", str(page)]) == Exit.OK
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert page.stat().st_mode & 0o777 == 0o600


def test_days_begin_at_midnight(capsys: pytest.CaptureFixture[str], log: Path) -> None:
    words = ["report", str(log), "--days", "3", "--until", "2026-05-20T12:00:00Z", "--json"]
    assert main(words) == Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert (found["since"], found["until"]) == ("2026-05-17T00:00:00Z", "2026-05-20T12:00:00Z")
    assert found["summary"]["rows"][0]["cells"] == ["Records", 5]


def test_words_for_times_are_understood(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(log), "--since", "yesterday", "--json"]) == Exit.OK
    assert "--since yesterday is 20" in capsys.readouterr().err


def test_a_changed_log_is_a_finding(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain = MadeChain().add(5)
    chain.lines[1] = altered(chain.lines[1])
    chain.write(log / "audit.jsonl")
    assert main(["report", str(log), *SINCE]) == Exit.FINDINGS
    assert "**TAMPERED.**" in capsys.readouterr().out


def test_a_declared_loss_is_incomplete(log: Path) -> None:
    chain = MadeChain().add(5).add(event_type="audit.gap", fields={"lost": 1, "sink": "jsonl"})
    chain.write(log / "audit.jsonl")
    assert main(["report", str(log), *SINCE]) == Exit.INCOMPLETE


def test_a_log_without_records_is_nothing(log: Path) -> None:
    (log / "audit.jsonl").write_bytes(b"")
    assert main(["report", str(log)]) == Exit.NOTHING


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--days", "3", "--since", "2d"], "--days and --since both say where to begin"),
        (["--since", "1h", "--until", "2h"], "nothing is from"),
        (["--controls", "CONTROLS"], "--controls CONTROLS: this is no map of controls"),
    ],
)
def test_what_cannot_be_asked_is_told(
    words: list[str], why: str, log: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(log)
    Path("CONTROLS").write_text("nothing")
    assert main(["report", str(log), *words]) == Exit.USAGE
    assert why in capsys.readouterr().err


def test_it_is_about_one_log(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(log), str(log)]) == Exit.USAGE
    assert "about one LOG" in capsys.readouterr().err


def test_a_password_is_in_no_report(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An address without a server is an error, which does not show the password either."""
    secret = "hunter" + str(22)
    main(["report", f"postgresql://u:{secret}@127.0.0.1:1/audit"])
    found = capsys.readouterr()
    assert secret not in found.out + found.err


def test_a_figure_is_repeated_by_its_query(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    MadeChain(begin=BEGIN - SECOND).add(4).write(log / "audit.jsonl")
    main(["report", str(log), *SINCE])
    found = re.search(r"\| Records \| 3 \| (Q\d+)", text := capsys.readouterr().out)
    assert found
    query = re.search(rf"^{found[1]}  audit-emit (.*)$", text, re.MULTILINE)
    assert query
    assert main(query[1].split()) == Exit.OK
    assert capsys.readouterr().out == "3\n"
