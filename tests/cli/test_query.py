"""``audit-emit query``: what people and programs get to read, and what goes wrong."""

from __future__ import annotations

import base64
import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from support.chain_builder import MadeChain, rewritten
from support.fake_loki import Asked, Fault, LokiServer, lost, status, truncated
from support.program import PROGRAM
from support.sealed_log import Sealed, sealed_log

from audit_emit import bind, configure, emit
from audit_emit._core import default as _process
from audit_emit._format.record import ts_of
from audit_emit._loki.client import Entry, LokiClient
from audit_emit._loki.labels import placement_of
from audit_emit.cli import main
from audit_emit.cli._exit import Exit
from audit_emit.cli._signer import MaintenanceEmitter
from audit_emit.errors import SinkError

__all__ = ["sealed_log"]

ROOT = Path(__file__).parents[2]
NOW = time.time_ns() // 10**9 * 10**9
MINUTE = 60 * 10**9
EXAMPLES = {
    "who-changed": ["--who-changed", "STRIPE_LIVE_KEY"],
    "actor": ["--actor", "u-17"],
    "correlation": ["--correlation", "req-0001"],
    "workspace": ["--workspace", "acme"],
    "type": ["--type", "secret.*"],
    "key": ["--where", "key=STRIPE_LIVE_KEY"],
}
TYPES = ("secret.set", "secret.rotated", "secret.read", "secret.denied", "auth.login")
KEYS = ("STRIPE_LIVE_KEY", "STRIPE_LIVE_KEY_2", "a\nSTRIPE_LIVE_KEY")
OUTCOMES = ("success", "success", "denied")
IDS = (
    {"user_id": "u-17", "correlation_id": "req-0001", "workspace_id": "acme"},
    {"user_id": "u-171", "correlation_id": "req-0001", "workspace_id": "acme-2"},
    {"user_id": "U-17", "correlation_id": "req-00012", "workspace_id": ""},
)
Run = Any


@pytest.fixture
def chain() -> MadeChain:
    """A secret is set, rotated, read and deleted; somebody signs in."""
    made = MadeChain(begin=NOW - 10 * MINUTE)
    key = {"key": "STRIPE_LIVE_KEY"}
    made.add(fields={**key, "operation": "set"}, step=MINUTE)
    made.add(event_type="auth.login", step=MINUTE)
    made.add(fields={**key, "operation": "rotate"}, step=MINUTE)
    made.add(event_type="secret.read", fields=key, step=MINUTE)
    return made.add(event_type="secret.delete", fields=key, step=MINUTE)


@pytest.fixture
def log(tmp_path: Path, chain: MadeChain, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That of this environment."""
    path = chain.write(tmp_path / "log" / "audit.jsonl")
    monkeypatch.setenv("AUDIT_EMIT_JSONL", str(path))
    return path


@pytest.fixture
def server(chain: MadeChain, fake_loki: LokiServer, monkeypatch: pytest.MonkeyPatch) -> LokiServer:
    """It holds the same records. Nobody waits for it."""
    monkeypatch.setenv("AUDIT_EMIT_LOKI_TIMEOUT", "1")
    patient = partial(LokiClient, sleep=lambda _: None)
    monkeypatch.setattr("audit_emit._facade.loki_client.LokiClient", patient)
    found = [(line, placement_of(line)) for line in chain.lines]
    with patient(fake_loki.url) as client:
        client.push([Entry(one.ts, text.decode(), one.labels) for text, one in found if one])
    return fake_loki


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    def run(*arguments: str) -> tuple[int, bytes, str]:
        code = main(["query", *arguments])
        out, err = capfdbinary.readouterr()
        return code, out, err.decode()

    return run


def lines(chain: MadeChain, *numbers: int) -> bytes:
    return b"".join(chain.lines[number] + b"\n" for number in numbers)


# What is found


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ([], [0, 1, 2, 3, 4]),
        (["--type", "secret.set"], [0, 2]),
        (["--type", "secret.set", "--type", "auth.login"], [0, 1, 2]),
        (["--type", "secret.*"], [0, 2, 3, 4]),
        (["--type", "secret.set", "--where", "key=STRIPE_LIVE_KEY", "--since", "24h"], [0, 2]),
        (["--where", "key=STRIPE_LIVE_KEY", "--where", "operation!="], [0, 2]),
        (["--actor", "u-*", "--workspace", "acme", "--correlation", "c", "--where", "n=2"], [1]),
        (["--who-changed", "STRIPE_LIVE_KEY"], [0, 2, 4]),
        (["--since", ts_of(NOW - 8 * MINUTE), "--until", ts_of(NOW - 6 * MINUTE)], [2, 3]),
        (["--limit", "2"], [3, 4]),
        (["--limit", "0"], [0, 1, 2, 3, 4]),
        (["--where", "seq=5"], [4]),
    ],
)
@pytest.mark.parametrize("place", ["log", "loki"])
def test_the_records_byte_for_byte(
    place: str,
    arguments: list[str],
    numbers: list[int],
    run: Run,
    chain: MadeChain,
    log: Path,
    server: LokiServer,
) -> None:
    where = ["--loki", server.url] if place == "loki" else []
    code, out, _ = run(*arguments, "--format", "jsonl", *where)
    assert (code, out) == (Exit.OK, lines(chain, *numbers))


def test_a_named_log_comes_before_a_loki_of_the_environment(
    run: Run, log: Path, chain: MadeChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_LOKI_URL", "http://127.0.0.1:1")
    assert run(str(log.parent), "--where", "seq=1", "--format", "jsonl")[1] == lines(chain, 0)
    assert run(str(log), "--where", "seq=1", "--format", "jsonl")[1] == lines(chain, 0)
    assert run("--where", "seq=1")[0] == Exit.NO_ANSWER


def test_loki_comes_from_the_environment(
    run: Run, server: LokiServer, chain: MadeChain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("right\n")
    server.authorization = "Bearer right"
    monkeypatch.setenv("AUDIT_EMIT_LOKI_URL", server.url)
    monkeypatch.setenv("AUDIT_EMIT_LOKI_TOKEN_FILE", str(tmp_path / "token"))
    assert run("--where", "seq=1", "--format", "jsonl")[1] == lines(chain, 0)


def test_without_a_time_it_says_how_far_loki_was_asked(run: Run, server: LokiServer) -> None:
    assert "last 30 days; --since" in run("--where", "seq=1", "--loki", server.url)[2]
    assert run("--where", "seq=1", "--loki", server.url, "--since", "1h")[2] == ""
    assert "nothing" not in run("--where", "seq=1", "--loki", server.url)[2]


@pytest.mark.parametrize("arguments", [["--where", "seq=9"], ["--who-changed", "OTHER\x1b"]])
def test_nothing_found_is_said_and_is_a_status(arguments: list[str], run: Run, log: Path) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (Exit.NOTHING, b"")
    assert err.startswith("nothing ")
    assert err.endswith(f" in {log}\n")
    assert "\x1b" not in err


def test_a_cut_is_said(run: Run, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit_emit.cli.query.LIMIT", 2)
    code, out, err = run("--format", "jsonl")
    assert (code, len(out.splitlines())) == (Exit.OK, 2)
    assert err == (
        "shown: the newest 2; there are older ones; --limit takes another number than 2, "
        "and 0 for all\n"
    )
    assert run("--limit", "3")[2] == "shown: the newest 3; there are older ones\n"
    assert run("--limit", "5")[2] == ""


def test_pages_go_back_by_seq_where_a_clock_did_too(run: Run, tmp_path: Path) -> None:
    chain = MadeChain(begin=NOW)
    for step in (MINUTE, MINUTE, -5 * MINUTE, MINUTE, MINUTE):
        chain.add(step=step)
    log = str(chain.write(tmp_path / "audit.jsonl"))
    pages = [
        run(log, "--limit", "2", "--format", "jsonl", "--before", before)[:2]
        for before in ("0", "4", "2")
    ]
    assert pages == [
        (Exit.OK, lines(chain, 3, 4)),
        (Exit.OK, lines(chain, 1, 2)),
        (Exit.OK, lines(chain, 0)),
    ]
    assert run(log, "--before", "1")[0] == Exit.NOTHING


def test_a_total_is_only_counted(run: Run, log: Path) -> None:
    assert run("--type", "secret.*", "--total") == (Exit.OK, b"4\n", "")
    assert run("--type", "secret.*", "--total", "--json") == (Exit.OK, b'{"total":4}\n', "")
    assert run("--type", "none.such", "--total") == (Exit.NOTHING, b"0\n", "")


@pytest.mark.parametrize("option", ["--limit=5", "--columns=ts", "--verified", "--reveal"])
def test_a_total_is_not_asked_for_with_what_it_would_not_do(
    option: str, run: Run, log: Path
) -> None:
    code, out, err = run("--total", option)
    assert (code, out) == (Exit.USAGE, b"")
    assert "--total only counts" in err or "--columns" in err


def test_explaining_says_what_logql_is_not_told(run: Run) -> None:
    code, _, err = run("--before", "5", "--explain")
    assert code == Exit.OK
    assert "--before" in err


def test_a_record_that_had_to_wait_counts_once(run: Run, tmp_path: Path) -> None:
    chain = MadeChain(begin=NOW).add(3)
    waited = rewritten(chain.lines[1], chain=None, seq=None, prev_hash=None, hash=None)
    path = chain.write(tmp_path / "audit.jsonl")
    with path.open("ab") as file:
        file.write(waited + b"\n")
    assert run(str(path), "--total")[1] == b"3\n"


def test_records_from_before_there_were_ids_are_counted_each(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "legacy.jsonl"
    old = '{{"ts":"2026-05-19T20:00:0{}Z","event_type":"secret.set","fields":{{}}}}\n'
    path.write_text("".join(map(old.format, range(3))))
    assert run(str(path), "--total")[1] == b"3\n"


@pytest.mark.parametrize("option", ["--total", "--before=3"])
def test_what_is_of_a_log_is_not_asked_of_loki(option: str, run: Run, server: LokiServer) -> None:
    code, out, err = run("--loki", server.url, option)
    assert (code, out) == (Exit.USAGE, b"")
    assert "LOG" in err


def test_lines_that_are_no_records_are_said(run: Run, log: Path, chain: MadeChain) -> None:
    with log.open("ab") as file:
        file.write(b"STRIPE_LIVE_KEY set\n")
    code, out, err = run(
        "--where", "key=STRIPE_LIVE_KEY", "--where", "operation=set", "--format", "jsonl"
    )
    assert (code, out) == (Exit.FINDINGS, lines(chain, 0))
    assert err == "1 line is no record (see: audit-emit verify)\n"


# How it is shown


def test_who_changed_a_secret_is_said_in_a_sentence(run: Run, log: Path, chain: MadeChain) -> None:
    code, out, err = run("--who-changed", "STRIPE_LIVE_KEY")
    times = [ts_of(NOW - minutes * MINUTE) for minutes in (10, 8, 6)]
    whats = ["secret.set, set", "secret.set, rotate", "secret.delete"]
    assert (code, err) == (Exit.OK, "")
    assert out.decode().splitlines() == [
        f"u-17 (user) in workspace acme, at {ts}, request c: {what}"
        for ts, what in zip(times, whats, strict=True)
    ]


def forged(event_type: str = "secret.rotate", **members: Any) -> str:
    """A line that somebody printed, or pushed."""
    record = {"ts": ts_of(NOW - MINUTE), "event_type": event_type, "workspace_id": "acme"}
    record |= {"user_id": "u-1", "actor_kind": "user", "correlation_id": "", "service": "shop"}
    fields = {"key": "STRIPE_LIVE_KEY", "operation": "rotate"}
    return json.dumps({**record, "fields": fields, **members}, separators=(",", ":"))


@pytest.mark.parametrize("output", ["text", "csv", "json"])
@pytest.mark.parametrize("place", ["log", "loki"])
def test_what_is_not_chained_is_marked_in_every_answer(
    place: str, output: str, run: Run, log: Path, server: LokiServer
) -> None:
    line = forged()
    with log.open("a") as file:
        file.write(line + "\n")
    found = placement_of(line.encode())
    assert found is not None
    with LokiClient(server.url) as client:
        client.push([Entry(found.ts, line, found.labels)])
    where = ["--loki", server.url] if place == "loki" else [str(log)]
    code, out, err = run("--where", "key=STRIPE_LIVE_KEY", "--format", output, *where)
    assert code == Exit.OK
    assert "1 of these are not chained: nothing ties them to a log (marked unchained)" in err
    if output == "text":
        header, *_, last = out.decode().splitlines()
        assert header.split()[-1] == "mark"
        assert last.split()[-1] == "unchained"
        assert out.count(b"unchained") == 1


def test_a_forged_change_of_a_secret_is_marked_in_its_sentence(run: Run, log: Path) -> None:
    with log.open("a") as file:
        file.write(forged() + "\n")
    *true, last = run("--who-changed", "STRIPE_LIVE_KEY")[1].decode().splitlines()
    assert last.endswith("secret.rotate, rotate [unchained]")
    assert [sentence for sentence in true if "[" in sentence] == []


def test_a_second_chain_of_a_service_is_said(run: Run, server: LokiServer) -> None:
    other = MadeChain("b" * 16, begin=NOW - 5 * MINUTE).add(fields={"key": "STRIPE_LIVE_KEY"})
    with LokiClient(server.url) as client:
        found = placement_of(other.lines[0])
        assert found is not None
        client.push([Entry(found.ts, other.lines[0].decode(), found.labels)])
    err = run("--where", "key=STRIPE_LIVE_KEY", "--loki", server.url)[2]
    assert f"records of {found.service} are of 2 chains" in err


HOSTILE = {
    "user_id": "root(admin)\x1b[31m",
    "workspace_id": '=HYPERLINK("http://x")',
    "correlation_id": "a\r\nb,\u202ec",
}


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A record that wants to be obeyed."""
    path = tmp_path / "hostile.jsonl"
    configure(service="tests", jsonl=path, stdout=False)
    with bind(**HOSTILE):
        emit(None, "secret.set", {"key": "@SUM(1)", "half": "\ud800", "n": [1.5, 2**70, None]})
    emitter = _process.swap_emitter(None)
    assert emitter is not None
    emitter.close()
    return path


def test_the_table_shows_everything_and_obeys_nothing(run: Run, hostile: Path) -> None:
    code, out, _ = run(str(hostile))
    text = out.decode()
    assert code == Exit.OK
    assert not set(text) & {"\x1b", "\r", "\u202e"}
    header, *rows = [line for line in text.splitlines() if "audit.started" not in line]
    assert header.split() == ["time", "type", "actor", "workspace", "request", "fields"]
    row = next(row for row in rows if "secret.set" in row)
    assert '"root(admin)\\u001b[31m"(user)' in row
    assert "a␍␊b,\\u202ec" in row
    assert "key=@SUM(1)" not in row
    assert row.rstrip().endswith('half=\\ud800 n=[1.5,"1180591620717411303424",null]')


@pytest.mark.parametrize("depth", [499, 700, 980, 996])
@pytest.mark.parametrize("output", ["text", "csv"])
def test_a_record_that_is_nested_deep_is_shown(
    output: str, depth: int, run: Run, tmp_path: Path
) -> None:
    """Up to the depth from which on it is no record."""
    path = tmp_path / "audit.jsonl"
    deep = f'{{"d":{"[" * depth}{"]" * depth}}}'
    path.write_text(f'{{"ts":"{ts_of(NOW)}","event_type":"a.b","fields":{deep}}}\n')
    code, out, _ = run(str(path), "--format", output)
    assert code in ({Exit.OK} if depth < 900 else {Exit.OK, Exit.FINDINGS})
    assert (b"[[[[" in out) is (code == Exit.OK)


def in_terminal(*arguments: str, columns: int) -> str:
    """What a command shows on a terminal of so many columns."""
    ours, theirs = os.openpty()
    command = [*PROGRAM, *arguments]
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    with subprocess.Popen(command, stdout=theirs, env=environment):
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # Linux says EIO at the end
            while part := os.read(ours, 65536):
                shown += part
    os.close(ours)
    return shown.decode()


def test_in_a_narrow_terminal_nothing_is_cut_off(log: Path) -> None:
    out = in_terminal("query", "--where", "seq=1", columns=70)
    assert "…" not in out
    assert out.count("\n") > 2
    assert "\x1b[" in out


def test_without_colours_there_are_none(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[" not in in_terminal("query", "--no-color", columns=70)
    assert "\x1b[" in in_terminal("tail", columns=70)
    monkeypatch.setenv("NO_COLOR", "whatever")
    assert "\x1b[" not in in_terminal("tail", columns=70)
    monkeypatch.setenv("NO_COLOR", "")
    assert "\x1b[" in in_terminal("tail", columns=70)


def cells(out: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(out.decode(), newline=""), strict=True))


def test_csv_is_harmless_and_whole(run: Run, hostile: Path) -> None:
    code, out, _ = run("--type", "secret.set", str(hostile), "--format", "csv")
    header, row = cells(out)
    found = dict(zip(header, row, strict=True))
    assert code == Exit.OK
    assert out.endswith(b"\r\n")
    assert found["workspace_id"] == '\'=HYPERLINK("http://x")'
    assert found["correlation_id"] == "a\r\nb,\\u202ec"
    assert found["user_id"] == "root(admin)␛[31m"
    assert json.loads(found["fields"])["key"] == "@SUM(1)"
    assert (found["seq"], found["trace_id"], len(found["hash"])) == ("2", "", 64)


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_begins_as_a_formula_does(first: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    record = {"ts": ts_of(NOW), "event_type": "a.b", "user_id": f"{first}1+1", "fields": {}}
    path.write_text(json.dumps(record) + "\n")
    _, row = cells(run(str(path), "--format", "csv")[1])
    assert row[3] == f"'{first}1+1"


SEPARATORS = [";", "\t", "|", "\n", "\r", ';"', "; ", ";\t"]


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(1)", "＝1"])  # noqa: RUF001
@pytest.mark.parametrize("separator", SEPARATORS)
def test_no_formula_begins_where_another_spreadsheet_cuts(
    separator: str, formula: str, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "audit.jsonl"
    text = f"eve{separator}{formula}"
    record = {"ts": ts_of(NOW), "event_type": "a.b", "user_id": text, "fields": {text: [text]}}
    path.write_text(json.dumps(record) + "\n")
    out = run(str(path), "--format", "csv")[1].decode()
    cut = [part.lstrip(' "') for part in re.split(r"[;|\t\r\n]", out)]
    assert not [part for part in cut if part[:1] in set("=+-@＝")]  # noqa: RUF001
    assert json.loads(dict(zip(*cells(out.encode()), strict=True))["fields"])


def test_every_cell_is_quoted(run: Run, log: Path) -> None:
    header, row = run("--where", "seq=1", "--format", "csv")[1].decode().splitlines()
    assert header.startswith('"ts","event_type"')
    assert re.fullmatch(r'"(?:[^"]|"")*"(?:,"(?:[^"]|"")*")*', row)


def test_the_whole_record_is_in_a_cell_as_base64(run: Run, log: Path, chain: MadeChain) -> None:
    _, row = cells(run("--where", "seq=1", "--format", "csv")[1])
    assert base64.b64decode(row[-1], validate=True) == chain.lines[0]


def test_columns_are_chosen_by_name(run: Run, log: Path) -> None:
    names = "seq, fields.key,user_id,fields.none,mark"
    code, out, _ = run("--where", "seq=1", "--format", "csv", "--columns", names)
    assert code == Exit.OK
    assert cells(out) == [
        ["seq", "fields.key", "user_id", "fields.none", "mark"],
        ["1", "STRIPE_LIVE_KEY", "u-17", "", ""],
    ]


def test_a_column_may_be_deep_in_the_fields(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    fields = {"a": {"b": [1.50, "=x"]}, "odd name": True, "half": "\ud800x"}
    path.write_text(json.dumps({"ts": ts_of(NOW), "event_type": "a.b", "fields": fields}) + "\n")
    names = 'fields.a.b[0],fields.a.b[1],fields["odd name"],fields.half,fields.a'
    _, row = cells(run(str(path), "--format", "csv", "--columns", names)[1])
    assert row == ["1.5", "'=x", "true", "\\ud800x", '{"b": [1.5, "=x"]}']


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--format", "csv", "--columns", "usr_id"], "do you mean user_id, or fields.usr_id?"),
        (["--format", "csv", "--columns", "key"], "do you mean fields.key?"),
        (["--format", "csv", "--columns", "ts,,id"], "'' is no column"),
        (["--columns", "ts"], "--columns belongs to --format csv"),
        (["--json", "--format", "csv"], "--json is short for --format json"),
        (["--no-record"], "name the columns instead: --columns"),
        (["--output", "json"], "it is --format now"),
        (["--path", "x"], "a log is named without an option"),
        (["secret.rotated"], "event types go to --type secret.rotated"),
        (["secret.*"], "event types go to --type"),
        (["key=A"], "conditions go to --where key=A"),
        ([""], "LOG is empty"),
        (["http://loki:3100"], "the address of Loki goes to --loki"),
        (["--since", ""], "--since is empty: name something, or leave it out"),
    ],
)
def test_what_is_often_tried_is_answered_with_what_to_type(
    arguments: list[str], why: str, run: Run, log: Path
) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (Exit.USAGE, b"")
    assert why in " ".join(err.split())


def test_json_is_one_array_of_the_records_as_they_are(
    run: Run, log: Path, chain: MadeChain
) -> None:
    code, out, _ = run("--json", "--limit", "2")
    assert code == Exit.OK
    assert out == b"[\n" + chain.lines[3] + b",\n" + chain.lines[4] + b"\n]\n"
    assert run("--where", "seq=99", "--json")[1] == b"[]\n"


def test_several_logs_are_asked_as_one(run: Run, log: Path, tmp_path: Path) -> None:
    other = MadeChain("b" * 16, begin=NOW - 9 * MINUTE).add(fields={"key": "OTHER"})
    path = other.write(tmp_path / "other" / "audit.jsonl")
    code, out, err = run(str(log), str(path), "--format", "jsonl", "--limit", "5")
    assert code == Exit.OK
    assert other.lines[0] in out.splitlines()
    times = [json.loads(line)["ts"] for line in out.splitlines()]
    assert (len(times), times) == (5, sorted(times))
    assert "there are older ones" in err


def test_a_word_for_a_time_is_said_with_its_zone(run: Run, log: Path) -> None:
    err = run("--since", "yesterday", "--where", "seq=1")[2]
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    assert err.startswith(f"--since yesterday is {yesterday}T00:00:00Z (UTC)\n")


def test_nothing_in_a_pipe_is_for_the_terminal_at_its_end(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    hostile = "\x1b]0;x\x07\x9b2J\u202e\u3164"
    record = {"ts": ts_of(NOW), "event_type": "a.b", "user_id": hostile, "fields": {"k": hostile}}
    path.write_text(json.dumps(record, ensure_ascii=False) + "\n")
    for output in ("csv", "text"):
        out = run(str(path), "--format", output)[1].decode()
        assert [c for c in out if not c.isprintable() and c not in "\r\n"] == []
        assert "\u3164" not in out


def test_csv_has_its_header_though_nothing_was_found(run: Run, log: Path) -> None:
    code, out, _ = run("--where", "seq=9", "--format", "csv")
    assert (code, len(cells(out))) == (Exit.NOTHING, 1)


# What is asked


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_named_query_is_what_the_command_asks(name: str, run: Run) -> None:
    text = (ROOT / "vector" / "logql" / f"{name}.logql").read_text("utf-8")
    question, logql = text.split("\n", 1)
    assert question.startswith("# ")
    assert run("--explain", *EXAMPLES[name]) == (Exit.OK, logql.encode(), "")


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_named_query_finds_in_loki_what_the_command_finds_here(
    name: str, run: Run, log: Path, each_loki: Asked
) -> None:
    """As anybody would ask it, of records of which each question fits some."""
    chain = MadeChain(begin=NOW - 10 * MINUTE)
    for number, (event_type, key) in enumerate(product(TYPES, KEYS)):
        chain.add(event_type=event_type, fields={"key": key, "outcome": OUTCOMES[number % 3]})
    made = [rewritten(line, **IDS[number % 3]) for number, line in enumerate(chain.lines)]
    log.write_bytes(b"".join(line + b"\n" for line in made))
    found = [(line, placement_of(line)) for line in made]
    text = (ROOT / "vector" / "logql" / f"{name}.logql").read_text("utf-8")
    with LokiClient(each_loki.url, tenant=each_loki.tenant) as client:
        client.push([Entry(one.ts, line.decode(), one.labels) for line, one in found if one])
        there = [one.line.encode() for one in client.query_range(text, NOW - 20 * MINUTE, NOW)]
    here = run(*EXAMPLES[name], "--format", "jsonl")[1].splitlines()
    assert here == there
    assert 0 < len(here) < len(made)


def test_explaining_asks_nobody(run: Run) -> None:
    code, out, err = run("--explain", "--where", 'fields["a]b"]=x', "--loki", "http://127.0.0.1:1")
    assert (code, out) == (Exit.OK, b'{job="audit"}\n')
    assert "no way to name fields.a]b" in err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--type", "[z-a]"], "ends before it begins"),
        (["--where", "=x"], "not NAME=VALUE"),
        (["--since", "2h", "--until", "3h"], "nothing is from"),
        (["--since", "soon"], "is no time"),
        ([".", "--loki", "http://x"], "not both"),
        (["--loki", "x"], "must be the address of Loki"),
        (["--limit", "-1"], "--limit"),
        (["--where", "key=\udcff"], "not Unicode"),
    ],
)
def test_what_cannot_be_asked_is_told(arguments: list[str], why: str, run: Run, log: Path) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (Exit.USAGE, b"")
    assert why in err


def test_without_a_log_it_is_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run(str(tmp_path / "none"))
    assert (code, "there is no log" in err) == (Exit.NOTHING, True)
    assert run(str(tmp_path))[0] == Exit.NOTHING
    monkeypatch.setenv("AUDIT_EMIT_JSONL", "off")
    code, _, err = run()
    assert (code, "name a LOG" in err) == (Exit.USAGE, True)


# Loki in trouble


@pytest.fixture
def asking(run: Run, server: LokiServer) -> Any:
    def ask(*faults: Fault) -> tuple[int, bytes, str]:
        server.faults += faults
        url = server.url.replace("http://", "http://me:canary-3f1c@")
        found: tuple[int, bytes, str] = run("--loki", url, "--since", "1h", "--format", "jsonl")
        assert "canary-3f1c" not in found[2]
        return found

    return ask


@pytest.mark.parametrize(
    ("fault", "times", "why"),
    [
        (status(500, "broken\x1b"), 5, "status 500: broken␛"),
        (status(429, "slow down"), 5, "status 429: slow down"),
        (status(429, "slow down", Retry_After="900"), 1, "status 429"),
        (status(400, "parse error"), 1, "status 400: parse error"),
        (status(401, "no org id\n"), 1, "needs a tenant (--tenant"),
        (status(403, "not your tenant"), 1, "status 403: not your tenant"),
        (status(302, Location="https://login.test/?next=canary-3f1c"), 1, "redirect"),
        (truncated, 1, "not its JSON"),
        (lost, 1, "cannot be read"),
    ],
)
def test_trouble_with_loki_is_told_and_nothing_is_printed(
    fault: Fault, times: int, why: str, asking: Any
) -> None:
    code, out, err = asking(*[fault] * times)
    assert (code, out) == (Exit.NO_ANSWER, b"")
    assert err.startswith("audit-emit: Loki at http://127.0.0.1:")
    assert why in err


def test_a_slow_loki_is_not_waited_for(asking: Any, server: LokiServer) -> None:
    code, out, err = asking(server.slow)
    assert (code, out) == (Exit.NO_ANSWER, b"")
    assert "did not answer within 1 s" in err


def test_trouble_that_passes_is_no_trouble(asking: Any, chain: MadeChain) -> None:
    code, out, err = asking(status(500), status(429, Retry_After="1"))
    assert (code, out, err) == (Exit.OK, lines(chain, 0, 1, 2, 3, 4), "")


def test_without_the_extra_it_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_facade.loki_client", "_loki.client", "_loki.http"):
        monkeypatch.delattr(f"audit_emit.{name}", raising=False)
        monkeypatch.delitem(sys.modules, f"audit_emit.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "httpx", None)
    code, _, err = run("--loki", "http://127.0.0.1:1")
    assert (code, err) == (
        Exit.USAGE,
        "audit-emit: httpx is not installed; pip install 'audit-emit[loki]'\n",
    )


def test_no_loki_is_told(asking: Any, server: LokiServer) -> None:
    server.close()
    code, out, err = asking()
    assert (code, out) == (Exit.NO_ANSWER, b"")
    assert "refused" in err


def test_a_tenant_that_has_nothing_is_named(run: Run) -> None:
    server = LokiServer(tenants=True)
    try:
        code, out, err = run("--loki", server.url, "--tenant", "wrong", "--since", "1h")
    finally:
        server.close()
    assert (code, out) == (Exit.NOTHING, b"")
    assert err.startswith("nothing found in Loki, tenant wrong since 20")


def test_which_times_were_asked_about_is_said(run: Run, log: Path) -> None:
    times = ("--since", "2020-01-02T03:00:00Z", "--until", "2020-01-02T04:00:00Z")
    code, _, err = run(str(log), *times)
    assert code == Exit.NOTHING
    assert err.endswith(
        " since 2020-01-02T03:00:00.000000000Z until 2020-01-02T04:00:00.000000000Z\n"
    )


def test_a_log_that_is_not_there_is_told_with_those_that_are(run: Run, log: Path) -> None:
    code, _, err = run(str(log.parent.parent / "lgo"))
    assert code == Exit.NOTHING
    assert f"there is: {log.parent}" in err


def test_an_actor_is_found_by_the_pseudonym_while_the_key_lives(sealed_log: Sealed) -> None:
    assert sealed_log.run("query", "--actor", "u-17", "--json").count('"profile.updated"') == 1
    sealed_log.run("erase", "u-17")
    assert sealed_log.run("query", "--actor", "u-17") == ""


def test_sealed_and_erased_values_are_told_as_such(sealed_log: Sealed) -> None:
    for command in ("query", "tail"):
        assert "email=[sealed]" in sealed_log.run(command)
    sealed_log.run("erase", "u-17")
    for command in ("query", "tail"):
        assert "email=[erased]" in sealed_log.run(command)
        assert "aes256gcm:" in sealed_log.run(command, "--format", "jsonl")


def test_what_is_revealed_is_recorded_first_without_whom_it_was_about(sealed_log: Sealed) -> None:
    said = sealed_log.run("query", "--actor", "u-17", "--reveal", "--json")
    (record,) = json.loads(said)
    assert record["fields"] == {"email": "someone@example.com"}
    told = json.loads(sealed_log.path.read_bytes().splitlines()[-1])
    assert told["event_type"] == "audit.revealed"
    assert told["actor_kind"] == "admin"
    assert told["user_id"]
    assert (told["fields"]["records"], told["fields"]["values"]) == (1, 1)
    assert "u-17" not in str(told)
    assert record["user_id"] not in str(told)


def test_where_no_record_can_be_written_nothing_is_revealed(
    sealed_log: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise SinkError("ENOSPC")

    monkeypatch.setattr(MaintenanceEmitter, "record_own", full)
    assert "someone" not in sealed_log.run("query", "--reveal", "--json")
