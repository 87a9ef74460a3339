"""``audit-emit status``: how a log stands, in a few lines."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from support.chain_builder import Trail
from support.waiting import PATIENCE

from audit_emit import Emitter
from audit_emit.cli import main
from audit_emit.cli._exit import Exit

KEY = "5e" * 32


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A signed log in several segments, with records after the last signature."""
    path = tmp_path / "log" / "audit.jsonl"
    emitter = Emitter(
        service="shop", jsonl=str(path), stdout=False, max_bytes=8192, signing_key=KEY
    )
    for number in range(40):
        emitter.emit({"user_id": "u-1"}, "item.sold", {"n": number})
    emitter.close()
    later = Emitter(service="shop", jsonl=str(path), stdout=False)
    later.emit({"user_id": "u-2\x1b"}, "item.returned", {"n": 40})
    later.close()
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    return path.parent


def looked(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(["status", *arguments])
    return code, capsys.readouterr().out


def test_it_says_what_people_ask_first(
    signed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = looked(str(signed), "--key", str(tmp_path / "key"), capsys=capsys)
    assert code == Exit.OK
    assert out.startswith(f"ok  {signed}\n")
    for row in (
        r"  service       shop",
        r"  head          record 4\d of chain [0-9a-f]{16}",
        r"  last event    item.returned by u-2␛ \(user\) at \S+Z, \d+ s ago",
        r"  signed        up to record \d+ at \S+Z, key \w+; \d records? (is|are) not signed yet",
        r"  store         [\d.]+ kB in \d files; [\d.]+ \wB free",
    ):
        assert re.search(f"^{row}$", out, re.MULTILINE), row


def test_the_service_is_that_of_the_chain_and_not_of_a_line_beside_it(
    signed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (signed / "audit.jsonl").open("ab") as file:
        file.write(b'{"ts":"2026-05-19T20:00:00.000000000Z","event_type":"a.b","service":"x"}\n')
    _, out = looked(str(signed), "--json", capsys=capsys)
    assert json.loads(out)["service"] == "shop"


def test_json_has_the_same(signed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = looked(str(signed), "--json", capsys=capsys)
    found = json.loads(out)
    last = json.loads((signed / "audit.jsonl").read_bytes().splitlines()[-1])
    assert code == found["status"] == Exit.OK
    assert found["last"] == last
    assert (found["head_seq"], found["head_hash"]) == (last["seq"], last["hash"])
    assert found["signed"]["trusted"] is False  # no key was given
    assert found["signed"]["unsigned"] == last["seq"] - found["signed"]["head_seq"] > 0
    assert found["files"]["segments"] == len(list(signed.glob("audit*.jsonl"))) > 1


def test_open_alerts_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trail = Trail("shop")
    for ago, name in ((40 * 86_400, "old"), (90, "a-1"), (60, "a-2"), (30, "a-3\x1b")):
        trail.add("audit.anomaly", ago, id=name, level="high", title=f"Rule {name}")
    trail.add("anomaly.acknowledged", 10, "eve", anomaly="a-1")
    (tmp_path / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in trail.lines))
    code, out = looked(str(tmp_path), capsys=capsys)
    assert code == Exit.OK
    assert "  alerts        2 open, the newest high: Rule a-3␛ (audit-emit query" in out
    _, out = looked(str(tmp_path), "--json", capsys=capsys)
    alerts = json.loads(out)["alerts"]
    assert (alerts["open"], alerts["acknowledged"], alerts["newest"]["level"]) == (2, 1, "high")


def test_that_there_are_more_alerts_than_are_looked_at_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trail = Trail("shop")
    for ago in (90, 60):
        trail.add("audit.anomaly", ago, level="high", title="Rule")
    (tmp_path / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in trail.lines))
    monkeypatch.setattr("audit_emit._report.recent.MOST", 1)
    assert "1 open of the newest 1,000, the newest" in looked(str(tmp_path), capsys=capsys)[1]
    _, out = looked(str(tmp_path), "--json", capsys=capsys)
    assert json.loads(out)["alerts"]["of_newest"] == 1000


def test_without_alerts_there_are_none(signed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "  alerts        none\n" in looked(str(signed), capsys=capsys)[1]


def test_a_signature_that_no_key_checked_says_so(
    signed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "not checked: no such key was given" in looked(str(signed), capsys=capsys)[1]


def test_a_log_that_ends_before_what_was_signed_is_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log" / "audit.jsonl"
    emitter = Emitter(service="shop", jsonl=str(path), stdout=False, signing_key=KEY)
    for number in range(9):
        emitter.emit(None, "item.sold", {"n": number})
    emitter.close()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
    code, out = looked(str(tmp_path / "log"), capsys=capsys)
    assert code == Exit.FINDINGS
    assert "records were signed, and the log ends at 4: audit-emit verify" in out


def test_what_was_verified_is_remembered(
    signed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, memory = str(tmp_path / "key"), str(tmp_path / "seen.json")
    main(["verify", str(signed), "--key", key, "--remember", memory, "--no-anchor-required"])
    capsys.readouterr()
    code, out = looked(str(signed), "--remember", memory, capsys=capsys)
    assert (code, "  verified      up to record " in out) == (Exit.OK, True)
    (signed / "audit.jsonl").unlink()
    for segment in sorted(signed.glob("audit-*.jsonl"))[1:]:
        segment.unlink()
    code, out = looked(str(signed), "--remember", memory, capsys=capsys)
    assert code == Exit.FINDINGS
    assert "records were verified, and the log ends at" in out


def test_a_torn_end_and_an_empty_log(
    signed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (signed / "audit.jsonl").open("ab") as file:
        file.write(b'{"ts":')
    code, out = looked(str(signed), capsys=capsys)
    assert (code, "torn" in out) == (Exit.INCOMPLETE, True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "audit.jsonl").touch()
    code, out = looked(str(tmp_path / "empty"), capsys=capsys)
    assert (code, out.startswith("no record  ")) == (Exit.NOTHING, True)


@pytest.mark.parametrize(("free", "code"), [(0, Exit.FINDINGS), (None, Exit.OK)])
def test_a_full_disk_is_a_finding_and_one_that_does_not_say_is_none(
    signed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    free: int | None,
    code: Exit,
) -> None:
    class Disk(NamedTuple):
        f_bavail: int
        f_frsize: int = 4096

    def statvfs(_: str) -> Disk:
        if free is None:
            raise OSError(38, "not implemented")
        return Disk(free)

    monkeypatch.setattr("os.statvfs", statvfs)
    found, out = looked(str(signed), capsys=capsys)
    assert found == code
    assert ("only 0 bytes are free on its disk" in out) == (free == 0)


def test_a_last_event_of_nobody_is_by_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    emitter = Emitter(jsonl=tmp_path / "audit.jsonl", stdout=False)
    emitter.emit(None, "job.run")
    emitter.close()
    assert "job.run by - (" in looked(str(tmp_path), capsys=capsys)[1]


def test_it_is_watched_until_ctrl_c(signed: Path) -> None:
    # A process in the background of a shell may have inherited that the signal is ignored.
    start = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from audit_emit_command import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", start, "status", str(signed), "--watch"]
    with subprocess.Popen(
        [*command, "--format", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        seen = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE)
    assert seen[0]["looked_at"] < seen[1]["looked_at"]
    assert (process.returncode, stderr) == (Exit.OK, b"")


@pytest.mark.parametrize("more", [["--json"], ["--out", "x"]])
def test_watching_has_no_end(
    more: list[str], signed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", str(signed), "--watch", *more]) == Exit.USAGE
    assert "use " in capsys.readouterr().err
    assert not os.path.exists("x")
