"""``query --verified`` and ``tail --verified`` mark what does not hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.verifier_comparison import SECRET, MadeLog, rechained

from audit_emit.cli import main
from audit_emit.cli._exit import Exit


@pytest.fixture
def log(tmp_path: Path) -> MadeLog:
    made = MadeLog(tmp_path / "log")
    made.write(2, 10, max_bytes=1 << 30)
    return made


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "key"
    path.write_text(SECRET.hex())
    path.chmod(0o600)
    return str(path)


def rows(log: MadeLog, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, list[str]]:
    """The status of ``query``, and the last word of each row."""
    status = main(["query", "--type", "x.y", str(log.directory), *more])
    return status, [line.split()[-1] for line in capsys.readouterr().out.splitlines()[1:]]


def test_a_log_that_verifies_has_no_marks(
    log: MadeLog, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found = rows(log, capsys, "--verified", "--key", key)
    assert (status, len(found)) == (Exit.OK, 20)
    assert not {"does-not-verify", "not-anchored", "unchained"} & set(found)


def test_what_no_signature_covers(
    log: MadeLog, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write(1, 3, max_bytes=1 << 30, keys=())
    status, found = rows(log, capsys, "--verified", "--key", key)
    assert (status, found[-3:], found[:-3].count("not-anchored")) == (0, ["not-anchored"] * 3, 0)
    status, found = rows(log, capsys, "--verified")
    assert set(found) == {"not-anchored"}, "without a key nothing is"


def test_a_record_whose_hash_was_made_right(
    log: MadeLog, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(lines: list[bytes], i: int) -> None:
        prev = json.loads(lines[i])["prev_hash"]
        lines[i] = rechained([lines[i].replace(b'"n":', b'"m":')], prev)[0]

    log.edit(5, change)
    status, found = rows(log, capsys, "--verified", "--key", key)
    assert status == Exit.FINDINGS
    assert "does-not-verify" in found
    assert set(found) <= {"does-not-verify", "not-anchored"}


def test_what_is_not_chained_is_marked_unasked(
    log: MadeLog, capsys: pytest.CaptureFixture[str]
) -> None:
    line = log.lines()[3].replace(b'"user_id":""', b'"user_id":"mallory"')
    line = line.replace(b',"id":"0', b',"id":"f')  # else it is the chained one's other form
    with log.active.open("ab") as file:
        file.write(line[: line.rindex(b',"chain":')] + b"}\n")
    _, found = rows(log, capsys)
    assert found.count("unchained") == 1
    assert main(["tail", str(log.directory)]) == Exit.OK
    last = capsys.readouterr().out.splitlines()[-1]
    assert "mallory" in last
    assert last.endswith("[unchained]")


def test_tail_marks_too(log: MadeLog, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    log.write(1, 1, max_bytes=1 << 30, keys=())
    arguments = ["tail", "--verified", "--key", key, "-n", "5"]
    assert main([*arguments, str(log.directory)]) == Exit.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith("[not-anchored]")
    assert not lines[0].endswith("]")
    assert main([*arguments, "-f", str(log.directory)]) == Exit.USAGE


def test_loki_has_nothing_to_verify() -> None:
    assert (
        main(["query", "--verified", "--loki", "http://localhost:1", "--type", "x.y"]) == Exit.USAGE
    )
