"""``audit-emit tail`` on files as they are found: rotated, torn, foreign, hostile."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.waiting import PATIENCE

from audit_emit import Emitter
from audit_emit.cli import main
from audit_emit.cli._exit import Exit

START = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from audit_emit_command import main; sys.exit(main())"
)
"""A process started in the background of a shell may inherit that SIGINT is ignored."""
PROGRAM = (sys.executable, "-c", START)


def record(seq: int, event_type: str = "secret.set", **members: Any) -> str:
    whole = {
        "ts": f"2026-05-19T20:00:{seq:02d}.000000000Z",
        "event_type": event_type,
        "workspace_id": "acme",
        "user_id": "dev",
        "actor_kind": "user",
        "correlation_id": f"req-{seq}",
        "fields": {"key": f"KEY_{seq}"},
        "seq": seq,
    }
    return json.dumps({**whole, **members}) + "\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    path.write_text("".join(record(seq) for seq in range(1, 31)))
    return path


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_shows_the_last_twenty_readably(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tail", str(log)]) == Exit.OK
    lines = shown(capsys)
    assert len(lines) == 20
    assert lines[-1].split() == [
        "30",
        "2026-05-19T20:00:30.000000000Z",
        "secret.set",
        "dev(user)",
        "@acme",
        "#req-30",
        "key=KEY_30",
        "[unchained]",
    ]


def test_half_a_surrogate_pair_is_shown_and_is_a_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text(record(1, fields={"key": "x\ud800y", "n": 2**70, "odd": 1.5}))
    assert main(["tail", str(path)]) == Exit.OK
    assert shown(capsys)[0].endswith(f"key=x\\ud800y n={2**70} odd=1.5 [unchained]")


def test_a_directory_means_its_log(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tail", "-n", "1", str(log.parent)]) == Exit.OK
    assert "KEY_30" in shown(capsys)[0]


def test_without_a_path_the_configured_log_is_shown(
    log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_JSONL", str(log))
    assert main(["tail", "-n", "1"]) == Exit.OK
    assert "KEY_30" in shown(capsys)[0]


@pytest.mark.parametrize(
    ("options", "seqs"),
    [
        (["--type", "secret.*"], [2, 3]),
        (["--type", "http.*", "--type", "secret.delete"], [1, 3]),
        (["--actor", "ops"], [2]),
        (["--actor", "o*"], [2]),
        (["--workspace", "globex"], [3]),
        (["--correlation", "req-1"], [1]),
        (["--since", "2026-05-19T20:00:02"], [2, 3]),
        (["--since", "2026-05-19T22:00:02+02:00"], [2, 3]),
        (["--since", "1s"], []),
        (["--type", "secret.*", "-n", "1"], [3]),
        (["-n", "0"], []),
    ],
)
def test_filters(
    options: list[str], seqs: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text(
        record(1, "http.request")
        + record(2, user_id="ops")
        + record(3, "secret.delete", workspace_id="globex")
    )
    found = seqs or "0" in options
    assert main(["tail", *options, str(path)]) == (Exit.OK if found else Exit.NOTHING)
    assert [int(line.split()[0]) for line in shown(capsys)] == seqs


def test_closed_segments_are_read_as_far_as_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"audit-{1:020d}.jsonl").write_text(record(1) + record(2))
    (tmp_path / f"audit-{3:020d}.jsonl").write_text(record(3) + record(4))
    (tmp_path / "audit.jsonl").write_text(record(5))
    (tmp_path / "audit-old.jsonl").write_text(record(9))
    assert main(["tail", "-n", "4", str(tmp_path)]) == Exit.OK
    assert [int(line.split()[0]) for line in shown(capsys)] == [2, 3, 4, 5]


def test_control_characters_are_shown_never_obeyed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "\x1b[2J\r\n\x7f\x9b\u202e\u2028\ud800"
    path = tmp_path / "audit.jsonl"
    escaped = record(1, user_id=hostile, fields={hostile: [hostile]})
    path.write_bytes(escaped.replace("\\ud800", "").encode() + b"\x1b]0;title\x07\xff raw\n")
    assert main(["tail", str(path)]) == Exit.FINDINGS
    out = capsys.readouterr().out
    assert [c for c in out if not c.isprintable() and c != "\n"] == []
    assert "␛[2J" in out
    assert "\\u202e" in out
    assert len(out.splitlines()) == 2


def test_an_id_cannot_pass_for_its_surroundings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text(record(1, user_id="root(admin) @acme #x"))
    assert main(["tail", str(path)]) == Exit.OK
    assert '"root(admin) @acme #x"(user)' in capsys.readouterr().out


def test_malformed_lines_are_shown_and_counted_under_any_filter(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with log.open("ab") as file:
        file.write(b"not json\n[1]\n" + b"[" * 100_000 + b"\n")
    assert main(["tail", "--type", "none.such", str(log)]) == Exit.FINDINGS
    captured = capsys.readouterr()
    assert captured.out.count("not a record") == 3
    assert "3 lines are no records" in captured.err
    assert len(captured.out) < 2000


def test_json_gives_the_bytes_of_the_file(log: Path, tmp_path: Path) -> None:
    line = record(31, fields={"note": "Zürich\u0085"}).encode()
    raw = json.dumps(json.loads(line), ensure_ascii=False).encode() + b"\n"
    log.write_bytes(raw + b"not json\n")
    result = subprocess.run(
        (*PROGRAM, "tail", "--format", "jsonl", str(log)), capture_output=True, check=False
    )
    assert result.stdout == raw
    assert b"1 line is no record" in result.stderr
    assert result.returncode == Exit.FINDINGS


def test_a_torn_last_line_is_told(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with log.open("a") as file:
        file.write('{"ts":"2026')
    assert main(["tail", "-n", "1", str(log)]) == Exit.INCOMPLETE
    captured = capsys.readouterr()
    assert "KEY_30" in captured.out
    assert '{"ts":"2026' in captured.err


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["no/such/file"], Exit.NOTHING),
        (["--since", "soon", "x"], Exit.USAGE),
        (["--since", "999999999d", "x"], Exit.USAGE),
        (["--nonsense"], Exit.USAGE),
        (["/dev/null"], Exit.USAGE),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    arguments: list[str], status: Exit, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tail", *arguments]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert captured.err.strip()


def test_without_a_file_a_path_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_JSONL", "off")
    assert main(["tail"]) == Exit.USAGE
    assert "name a LOG" in capsys.readouterr().err


def test_an_empty_file_has_nothing_to_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "audit.jsonl"
    path.touch()
    assert main(["tail", str(path)]) == Exit.NOTHING
    assert capsys.readouterr().err == f"nothing found in {path}\n"


@pytest.mark.parametrize("options", [[], ["--since", "2026-05-19"]])
def test_packed_segments_are_part_of_the_log(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, first in enumerate((1, 4), 1):
        text = "".join(map(record, range(first, first + 3)))
        packed = gzip.compress(text.encode())
        (tmp_path / f"audit-{number:020d}.jsonl.gz").write_bytes(packed)
    (tmp_path / "audit.jsonl").write_text(record(7))
    assert main(["tail", *options, str(tmp_path)]) == Exit.OK
    assert [int(line.split()[0]) for line in shown(capsys)] == [1, 2, 3, 4, 5, 6, 7]
    (tmp_path / "audit.jsonl").unlink()  # between two writers
    assert main(["tail", "-n", "2", str(tmp_path)]) == Exit.OK
    assert [int(line.split()[0]) for line in shown(capsys)] == [5, 6]
    segments = [str(path) for path in tmp_path.glob("*.gz")]
    assert main(["tail", *segments, "-n", "4"]) == Exit.OK
    assert [int(line.split()[1]) for line in shown(capsys)] == [3, 4, 5, 6]


def test_standard_input_is_a_log_too(log: Path) -> None:
    lines = b"".join(b"audit: " + line for line in log.read_bytes().splitlines(True)[:5])
    for options, count in ((["-n", "2"], 2), (["-f"], 5)):
        command = (*PROGRAM, "tail", *options, "--format", "jsonl", "-")
        done = subprocess.run(
            command, input=lines, capture_output=True, check=False, timeout=PATIENCE
        )
        assert done.returncode == Exit.OK
        assert [json.loads(line)["seq"] for line in done.stdout.splitlines()] == [
            *range(6 - count, 6)
        ]


def test_several_logs_are_shown_by_time_with_their_services(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for service, seqs in (("api", (1, 3, 5)), ("shop", (2, 4, 6))):
        (tmp_path / service).mkdir()
        text = "".join(record(seq, service=service) for seq in seqs)
        (tmp_path / service / "audit.jsonl").write_text(text)
    logs = [str(tmp_path / "shop"), str(tmp_path / "api")]
    assert main(["tail", "-n", "3", *logs]) == Exit.OK
    assert [line.split()[:2] for line in shown(capsys)] == [
        ["shop", "4"],
        ["api", "5"],
        ["shop", "6"],
    ]


def test_an_end_can_be_named_as_well(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = ["--since", "2026-05-19T20:00:03Z", "--until", "2026-05-19T20:00:05Z"]
    assert main(["tail", *times, str(log)]) == Exit.OK
    assert [int(line.split()[0]) for line in shown(capsys)] == [3, 4]


def test_csv_has_the_columns_that_were_chosen(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["tail", "-n", "1", "--format", "csv", "--columns", "seq,fields.key,mark", str(log)]
    assert main(arguments) == Exit.OK
    assert shown(capsys) == ['"seq","fields.key","mark"', '"30","KEY_30","unchained"']


def test_following_has_no_end_of_an_array(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tail", "-f", "--json", str(log)]) == Exit.USAGE
    assert "with -f use --format jsonl" in capsys.readouterr().err


def test_query_and_tail_give_the_same_answer_to_the_same_question(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_text(record(1) + record(2, user_id="ops") + record(3, "secret.read"))
    for question in (
        ["--type", "secret.[rs]*", "--actor", "[!o]*"],
        ["--where", "key=KEY_?", "--where", "seq!=2"],
        ["--who-changed", "KEY_*"],
        ["--type", "none.*"],
    ):
        answers = []
        for name in ("query", "tail"):
            status = main([name, *question, "--format", "jsonl", str(log)])
            answers.append((status, capsys.readouterr().out))
        assert answers[0] == answers[1]


def test_a_reader_that_leaves_ends_it_quietly(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text(record(1) * 20_000)
    command = (*PROGRAM, "tail", "-n", "20000", str(path))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == Exit.OK


class Following:
    """A ``tail -f`` in a process of its own, and what it has shown so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._arrived = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._arrived:
                self.lines.append(line.rstrip("\n"))
                self._arrived.notify_all()

    def until(self, reached: Callable[[list[str]], bool]) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: reached(self.lines), PATIENCE), self.lines

    def seqs(self) -> list[int]:
        return [int(line.split()[0]) for line in self.lines]

    def expect(self, *seqs: int) -> None:
        self.until(lambda lines: len(lines) >= len(seqs))
        assert self.seqs() == list(seqs)


@contextmanager
def follow(path: Path, *options: str) -> Iterator[Following]:
    command = (*PROGRAM, "tail", "-f", *options, str(path))
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield Following(process)
        finally:
            process.kill()


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_follow_shows_records_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    append(path, record(1))
    with follow(path) as tail:
        tail.expect(1)
        half = len(record(2)) // 2
        append(path, record(2)[:half])
        append(path, record(2)[half:] + record(3))
        tail.expect(1, 2, 3)


def test_follow_survives_rotation_and_misses_no_segment(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    append(path, record(1))
    with follow(path) as tail:
        tail.expect(1)
        # Two rotations between two looks: what was active in between is a segment by now.
        tail.process.send_signal(signal.SIGSTOP)
        append(path, record(2))
        path.rename(tmp_path / f"audit-{1:020d}.jsonl")
        append(path, record(3))
        path.rename(tmp_path / f"audit-{3:020d}.jsonl")
        append(path, record(4))
        tail.process.send_signal(signal.SIGCONT)
        tail.expect(1, 2, 3, 4)


def test_follow_survives_truncation_and_deletion(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    append(path, record(1) + record(2))
    with follow(path) as tail:
        tail.expect(1, 2)
        os.truncate(path, 0)
        append(path, record(3))
        tail.expect(1, 2, 3)
        path.unlink()
        append(path, record(4))
        tail.expect(1, 2, 3, 4)


def copied_and_cut(path: Path, copy: Path | None, more: str) -> None:
    """What logrotate's copytruncate does, and what is written right after it."""
    if copy is not None:
        copy.write_bytes(path.read_bytes())
    os.truncate(path, 0)
    append(path, more)


@pytest.mark.parametrize("after", [1, 40])
@pytest.mark.parametrize("name", ["audit.jsonl.1", "audit.jsonl-20260519", "audit-20260519.jsonl"])
def test_follow_reads_on_in_the_copy_of_a_file_that_was_cut_off(
    after: int, name: str, tmp_path: Path
) -> None:
    """However long the file is again when it is looked at."""
    path = tmp_path / "audit.jsonl"
    append(path, record(1) + record(2))
    with follow(path) as tail:
        tail.expect(1, 2)
        tail.process.send_signal(signal.SIGSTOP)
        append(path, record(3) + record(4))
        copied_and_cut(path, tmp_path / name, "".join(map(record, range(5, 5 + after))))
        tail.process.send_signal(signal.SIGCONT)
        tail.expect(*range(1, 5 + after))
        tail.process.send_signal(signal.SIGINT)
        assert tail.process.wait(PATIENCE) == Exit.OK
        assert tail.process.stderr is not None
        assert tail.process.stderr.read() == (
            f"the file was cut off in place (copytruncate); read on in {name}\n"
        )


def test_follow_says_what_went_with_a_file_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    append(path, record(1) + record(2))
    (tmp_path / "audit.jsonl.1").write_text(record(7) * 9)
    with follow(path) as tail:
        tail.expect(1, 2)
        tail.process.send_signal(signal.SIGSTOP)
        append(path, record(3) + record(4))
        copied_and_cut(path, None, "".join(map(record, range(5, 12))))
        tail.process.send_signal(signal.SIGCONT)
        tail.expect(1, 2, *range(5, 12))
        tail.process.send_signal(signal.SIGINT)
        assert tail.process.wait(PATIENCE) == Exit.INCOMPLETE
        assert tail.process.stderr is not None
        told = tail.process.stderr.read()
        assert "with no copy beside it" in told
        assert "records 3 to 4 are in neither file" in told


def test_follow_waits_for_a_log_that_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with follow(path) as tail:
        assert tail.process.stderr is not None
        assert "waiting for" in tail.process.stderr.readline()
        append(path, record(1))
        tail.expect(1)


def test_follow_ends_cleanly_on_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    append(path, record(1))
    with follow(path) as tail:
        tail.expect(1)
        tail.process.send_signal(signal.SIGINT)
        assert tail.process.wait(PATIENCE) == Exit.OK
        assert tail.process.stderr is not None
        assert tail.process.stderr.read() == ""


def bytes_read() -> int:
    """By this process, from whatever file."""
    (line,) = [one for one in Path("/proc/self/io").read_text().splitlines() if "rchar" in one]
    return int(line.split()[1])


def test_a_large_file_is_read_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with path.open("wb") as file:
        file.truncate(2 * 1024**3)  # a hole: reading all of it would take seconds and memory
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + record(1).encode())
    before = bytes_read()
    assert main(["tail", "-n", "1", str(path)]) == Exit.OK
    assert bytes_read() - before < 10_000_000


def test_follow_misses_nothing_of_an_emitter_that_rotates(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    emitter = Emitter(service="t", jsonl=str(path), stdout=False, max_bytes=4096)
    try:
        assert emitter.emit(None, "x.first", {}) is not None
        with follow(path, "--type", "x.*") as tail:
            tail.until(lambda lines: "x.first" in "".join(lines))
            for number in range(300):
                assert emitter.emit(None, "x.more", {"number": number}) is not None
            tail.until(lambda lines: len(lines) >= 301)
            numbers = [line.rsplit("number=", 1)[1] for line in tail.lines[1:]]
            assert numbers == [str(number) for number in range(300)]
    finally:
        emitter.close()
    assert len(list(tmp_path.glob("audit-*.jsonl"))) > 5


def test_all_segments_of_an_emitter_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "audit.jsonl"
    emitter = Emitter(service="t", jsonl=str(path), stdout=False, max_bytes=4096)
    for number in range(100):
        emitter.emit(None, "x.more", {"number": number})
    emitter.close()
    assert main(["tail", "--since", "1h", str(path)]) == Exit.OK
    seqs = [int(line.split()[0]) for line in shown(capsys)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(seqs) > 100
