"""``audit-emit doctor``: what it says of a machine, and that it says no secret."""

from __future__ import annotations

import errno
import json
import os
import pwd
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_loki import LokiServer
from support.program import PROGRAM

from audit_emit._format.record import ts_of
from audit_emit._loki.client import Entry, LokiClient
from audit_emit._runtime import compiled as _compiled
from audit_emit._settings.checks import SETTINGS
from audit_emit.cli import _machine as machine
from audit_emit.cli import main
from audit_emit.cli._checks import ADVICE, Report, Way, examine
from audit_emit.cli._exit import Exit
from audit_emit.cli._pipeline import Reader, unreadable

KEY = "CANARY-" + "k" * 40


def look(tmp_path: Path, **environ: str) -> Report:
    paths = {"AUDIT_EMIT_JSONL": str(tmp_path / "audit.jsonl"), "AUDIT_EMIT_SERVICE": "secrets"}
    return examine({}, {**paths, **environ})


def mentions(texts: list[str], part: str) -> bool:
    return any(part in text for text in texts)


def key_file(tmp_path: Path, mode: int) -> str:
    key = tmp_path / "hash.key"
    key.write_text(KEY)
    key.chmod(mode)
    return str(key)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AUDIT_EMIT_"):
            monkeypatch.delenv(name)


def test_a_writable_directory_is_no_problem(tmp_path: Path) -> None:
    report = look(tmp_path)
    assert report.problems == []
    assert report.file["writable"] is True
    assert report.file["lock"] == "works"
    assert list(tmp_path.iterdir()) == []


def test_a_variable_that_nobody_reads_is_told_with_the_one_that_was_meant(tmp_path: Path) -> None:
    report = look(tmp_path, AUDIT_EMIT_SERVIC="api")
    assert mentions(report.warnings, "AUDIT_EMIT_SERVIC is set")
    assert mentions(report.warnings, "is AUDIT_EMIT_SERVICE meant?")


@pytest.mark.parametrize("name", ["AUDIT_EMIT_LOKI_URL", "AUDIT_EMIT_SPEEDUPS", "AUDIT_EMIT_DEBUG"])
def test_variables_that_are_no_settings_are_known(name: str, tmp_path: Path) -> None:
    assert not mentions(look(tmp_path, **{name: "1"}).warnings, name)


def test_the_way_of_an_event_is_told(tmp_path: Path) -> None:
    assert look(tmp_path).machine["emit"] == _compiled.state


def test_every_setting_tells_where_it_came_from(tmp_path: Path) -> None:
    report = examine({"service": "api"}, {"AUDIT_EMIT_JSONL": str(tmp_path / "a.jsonl")})
    files = {
        name for name in SETTINGS if name.endswith("_file")
    }  # shown as what was read from them
    of_a_store = {"store", "chain_by"}  # shown where there is one
    assert set(report.settings) >= set(SETTINGS) - files - of_a_store
    assert report.settings["service"] == {"value": "api", "source": "argument"}
    assert report.settings["jsonl"]["source"] == "environment"
    assert report.settings["durability"] == {"value": "group", "source": "default"}


def test_the_default_path_is_explained(tmp_path: Path) -> None:
    report = examine({"service": "api"}, {"XDG_STATE_HOME": str(tmp_path)})
    assert report.file["because"] == f"the default: {tmp_path}/system/api can be written"
    assert report.file["path"] == f"{tmp_path}/system/api/audit.jsonl"


def test_a_default_that_cannot_be_used_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "system").write_text("in the way")
    refused = machine.Probe(writable=False, lock="unknown", sync_ms=None)
    monkeypatch.setattr(machine, "probe", lambda _: refused)
    report = examine({"service": "api"}, {"XDG_STATE_HOME": str(tmp_path / "xdg")})
    assert mentions(report.problems, f"make {tmp_path}/system/api a directory of that user")
    assert mentions(report.problems, "or set AUDIT_EMIT_JSONL")


def test_a_nameless_service_is_a_warning(tmp_path: Path) -> None:
    report = examine({}, {"AUDIT_EMIT_JSONL": str(tmp_path / "audit.jsonl")})
    assert mentions(report.warnings, "AUDIT_EMIT_SERVICE")
    assert report.problems == []


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"AUDIT_EMIT_DISABLED": "1"}, "nothing at all is recorded"),
        ({"AUDIT_EMIT_JSONL": "off", "AUDIT_EMIT_STDOUT": "0"}, "neither a file nor stdout"),
        ({"AUDIT_EMIT_DURABILITY": "maybe"}, "AUDIT_EMIT_DURABILITY"),
        ({"AUDIT_EMIT_HASH_KEY": "short"}, "AUDIT_EMIT_HASH_KEY"),
        ({"AUDIT_EMIT_HASH_KEY_FILE": "/no/such/file"}, "AUDIT_EMIT_HASH_KEY_FILE"),
    ],
)
def test_what_must_be_mended(environ: dict[str, str], told: str, tmp_path: Path) -> None:
    report = look(tmp_path, **environ)
    assert mentions(report.problems, told)


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"AUDIT_EMIT_JSONL": "off"}, "no file is kept"),
        ({"AUDIT_EMIT_SERVCE": "x"}, "is AUDIT_EMIT_SERVICE meant?"),
        ({"AUDIT_EMIT_STDOUT_MAX_BYTES": "65536"}, "can interleave"),
        ({"ECS_CONTAINER_METADATA_URI_V4": "http://x"}, "non-blocking"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "volume"),
        ({"JOURNAL_STREAM": "8:1"}, "rate limit"),
    ],
)
def test_what_should_be_known(environ: dict[str, str], told: str, tmp_path: Path) -> None:
    report = look(tmp_path, **environ)
    assert mentions(report.warnings, told)
    assert report.problems == []


def test_a_link_in_place_of_the_log_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "target").touch(0o640)
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "target")
    assert mentions(look(tmp_path).problems, "symbolic link")


def test_a_link_on_the_way_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(0o750)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    report = look(tmp_path / "link")
    assert mentions(report.warnings, "symbolic link")
    assert report.problems == []


def test_a_log_open_to_others_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.touch()
    path.chmod(0o644)
    assert mentions(look(tmp_path).problems, "0644")


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o666, 0o604])
def test_a_key_file_open_to_others_is_a_problem(mode: int, tmp_path: Path) -> None:
    report = look(tmp_path, AUDIT_EMIT_HASH_KEY_FILE=key_file(tmp_path, mode))
    assert mentions(report.problems, f"key file has mode {mode:04o}")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400, 0o440])
def test_a_key_file_of_its_user_and_group_is_fine(mode: int, tmp_path: Path) -> None:
    report = look(tmp_path, AUDIT_EMIT_HASH_KEY_FILE=key_file(tmp_path, mode))
    assert not mentions(report.problems + report.warnings, "key file")


def test_a_key_that_docker_mounts_is_a_warning(tmp_path: Path) -> None:
    report = look(tmp_path, AUDIT_EMIT_HASH_KEY_FILE=key_file(tmp_path, 0o444))
    assert mentions(report.warnings, "key file has mode 0444")
    assert report.problems == []


@pytest.mark.parametrize(("mode", "warned"), [(0o400, False), (0o644, True)])
def test_a_key_that_kubernetes_links_is_judged_by_its_target(
    mode: int, warned: bool, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(key_file(tmp_path, mode))
    report = look(tmp_path, AUDIT_EMIT_HASH_KEY_FILE=str(link))
    assert mentions(report.warnings, f"key file has mode {mode:04o}") is warned
    assert report.problems == []


@pytest.mark.parametrize(
    ("setting", "found"), [("1", (True, "stdout")), ("stderr", (True, "stderr"))]
)
def test_the_stream_that_lines_go_to_is_told(
    setting: str, found: tuple[bool, str], tmp_path: Path
) -> None:
    told = look(tmp_path, AUDIT_EMIT_STDOUT=setting).stdout
    assert (told["enabled"], told["stream"]) == found


def test_in_a_container_of_docker_what_a_burst_loses_is_told() -> None:
    assert "6,017 and 7,763 of 20,001" in ADVICE["docker"]
    assert "max-file" in ADVICE["docker"]


def test_what_hashes_are_worth_without_a_key_is_told(tmp_path: Path) -> None:
    assert mentions(look(tmp_path).warnings, "plain SHA-256")
    key = key_file(tmp_path, 0o600)
    assert not mentions(look(tmp_path, AUDIT_EMIT_HASH_KEY_FILE=key).warnings, "SHA-256")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert mentions(look(tmp_path).problems, "cannot be written")


def test_how_the_log_ends_is_told(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    line = {"ts": "2026-05-19T20:00:00.000000000Z", "event_type": "a.b", "fields": {}, "seq": 7}
    path.write_text(json.dumps(line) + "\n")
    path.chmod(0o640)
    assert look(tmp_path).file["last_record"]["seq"] == 7
    with path.open("a") as file:
        file.write("{torn")
    assert mentions(look(tmp_path).warnings, "torn line")


def test_a_foreign_last_line_is_told(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text("hello\n")
    path.chmod(0o640)
    assert mentions(look(tmp_path).warnings, "not a record")


@pytest.mark.parametrize(
    ("mount", "told"),
    [("nfs4", "problem"), ("fuse.sshfs", "problem"), ("cifs", "problem"), ("tmpfs", "warning")],
)
def test_a_file_system_that_breaks_appends_is_told(
    mount: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "file_system", lambda _: mount)
    report = look(tmp_path)
    texts = report.problems if told == "problem" else report.warnings
    assert mentions(texts, mount)


def test_the_file_system_is_the_one_of_the_innermost_mount() -> None:
    if not Path("/proc/self/mountinfo").exists():
        assert machine.file_system(Path("/")) == "unknown"
        return
    assert machine.file_system(Path("/proc")) == "proc"
    assert machine.file_system(Path("/no/such/place")) == machine.file_system(Path("/"))


def test_no_secret_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_JSONL", str(tmp_path / "audit.jsonl"))
    monkeypatch.setenv("AUDIT_EMIT_HASH_KEY", KEY)
    for options in ([], ["--json"]):
        assert main(["doctor", *options]) == Exit.OK
        captured = capsys.readouterr()
        assert "hash_key" in captured.out
        assert "CANARY" not in captured.out + captured.err


def test_a_key_in_the_wrong_variable_is_not_shown(tmp_path: Path) -> None:
    report = look(tmp_path, AUDIT_EMIT_HASH_KEY_FILE=KEY)
    assert "CANARY" not in json.dumps(report.as_dict())


def test_problems_decide_the_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_DISABLED", "1")
    assert main(["doctor"]) == Exit.FINDINGS
    assert "problem" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == Exit.FINDINGS
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report["status"] == "problems"


def test_a_setting_without_a_value_is_no_blank(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["doctor", str(tmp_path / "audit.jsonl")])
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "chain_by" in one]
    assert line.split() == ["chain_by", "none", "(default)"]


def test_arguments_stand_for_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "here" / "audit.jsonl"
    assert main(["doctor", "--service", "api", str(path), "--json"]) == Exit.OK
    report = json.loads(capsys.readouterr().out)
    assert report["settings"]["service"] == {"value": "api", "source": "argument"}
    assert report["file"]["path"] == str(path)
    assert not path.parent.exists()


def test_a_path_that_is_not_unicode_is_shown(tmp_path: Path) -> None:
    environ = {**os.environb, b"AUDIT_EMIT_JSONL": bytes(tmp_path) + b"/\xff/audit.jsonl"}
    for options in ([], ["--json"]):
        command = [*PROGRAM, "doctor", *options]
        result = subprocess.run(command, env=environ, capture_output=True, check=False)
        assert result.returncode == Exit.OK, result.stderr
        assert b"udcff" in result.stdout


@pytest.mark.parametrize("kind", ["pipe", "socket", "file", "null"])
def test_what_a_descriptor_is(kind: str, tmp_path: Path) -> None:
    if kind == "pipe":
        ours = list(os.pipe())
    elif kind == "socket":
        ours = [side.detach() for side in socket.socketpair()]
    else:
        path = os.devnull if kind == "null" else str(tmp_path / "file")
        ours = [os.open(path, os.O_RDWR | os.O_CREAT)]
    try:
        assert machine.what_is(ours[0]) == kind
    finally:
        for fd in ours:
            os.close(fd)


def test_a_closed_descriptor_is_closed() -> None:
    assert machine.what_is(1_000_000) == "closed"


def test_every_place_that_is_recognised_has_advice() -> None:
    assert set(machine.surroundings({"JOURNAL_STREAM": "1"})) <= set(ADVICE)


# The way to Loki


def test_a_shipper_that_may_not_read_is_a_problem(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    nobody = Reader("vector", 4_000_000, frozenset({4_000_000}))
    why = unreadable(closed / "shop" / "audit.jsonl", nobody)
    assert " lets vector not in (mode 07" in why
    assert unreadable(closed / "audit.jsonl", Reader("root", 0, frozenset())) == ""


def group_of(path: Path) -> Reader:
    return Reader("vector", 4_000_000, frozenset({path.stat().st_gid}))


def test_the_group_of_the_files_may_read_them(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    file = log / "audit.jsonl"
    file.touch()
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_mode & 0o011 != 0o011:
            pytest.skip("the directory of the tests is closed to others")
    log.chmod(0o750)
    file.chmod(0o640)
    assert unreadable(file, group_of(file)) == ""
    file.chmod(0o600)
    assert f"{file} cannot be read by vector (mode 0600" in unreadable(file, group_of(file))
    log.chmod(0o710)
    assert "cannot be listed by vector" in unreadable(file, group_of(file))
    log.chmod(0o700)
    assert f"{log} lets vector not in (mode 0700" in unreadable(file, group_of(file))


def test_only_what_the_shipper_reads_has_to_be_open_to_it(tmp_path: Path) -> None:
    for name in ("audit.jsonl", f"audit-{1:020d}.jsonl", "checkpoints.jsonl", "backfill.jsonl"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o600)
    for name in ("audit.jsonl", f"audit-{1:020d}.jsonl"):
        (tmp_path / name).chmod(0o640)
    who = Reader("vector", tmp_path.stat().st_uid, frozenset())
    assert unreadable(tmp_path / "audit.jsonl", who) == ""
    (tmp_path / f"audit-{1:020d}.jsonl").chmod(0o200)
    assert who.uid == 0 or "cannot be read by vector" in unreadable(tmp_path / "audit.jsonl", who)


@pytest.fixture
def closed_to_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in which not even modes can be seen, as for another user than root."""
    closed = tmp_path / "closed"
    closed.mkdir()

    def refusing(real: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
        def look(path: Any, *args: Any, **more: Any) -> os.stat_result:
            if str(path).startswith(f"{closed}/"):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return real(path, *args, **more)

        return look

    monkeypatch.setattr(os, "stat", refusing(os.stat))
    monkeypatch.setattr(os, "lstat", refusing(os.lstat))
    return closed


def test_a_directory_that_may_not_be_looked_into_is_no_end_of_the_examination(
    closed_to_us: Path,
) -> None:
    report = look(closed_to_us / "shop")
    assert report.machine["uid"] == os.getuid()
    assert "closed" in report.file["directory"]


def test_what_may_not_be_looked_at_is_not_called_readable(
    closed_to_us: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(closed_to_us / "audit.jsonl")
    name = pwd.getpwuid(os.getuid()).pw_name
    main(["doctor", path, "--reader", name])
    out = capsys.readouterr().out
    assert f"{name}: unknown" in out
    assert "run doctor as root" in out


def test_a_user_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    environ = {"AUDIT_EMIT_JSONL": str(tmp_path / "audit.jsonl")}
    report = examine({}, environ, Way(reader="no-such-user"))
    assert mentions(report.problems, "there is no user no-such-user")
    report = examine({}, environ, Way(reader="postgresql://me:held@db/audit"))
    assert mentions(report.problems, "there is no user postgresql://me@db/audit")


def asked(tmp_path: Path, url: str, **environ: str) -> Report:
    paths = {"AUDIT_EMIT_JSONL": str(tmp_path / "audit.jsonl"), "AUDIT_EMIT_SERVICE": "shop"}
    return examine({}, {**paths, **environ}, Way(loki=url))


def test_a_loki_that_has_something_of_the_service(tmp_path: Path, fake_loki: LokiServer) -> None:
    with LokiClient(fake_loki.url) as client:
        labels = {"job": "audit", "service": "shop", "event_type": "a.b"}
        client.push([Entry(time.time_ns() - 10**10, "{}", labels)])
    report = asked(tmp_path, fake_loki.url)
    assert report.problems == []
    assert report.pipeline["loki"]["address"] == fake_loki.url
    assert report.pipeline["loki"]["newest"] in {"10 s ago", "11 s ago", "12 s ago"}


def test_a_loki_that_has_nothing_of_the_service_is_a_warning(
    tmp_path: Path, fake_loki: LokiServer
) -> None:
    report = asked(tmp_path, fake_loki.url)
    assert report.problems == []
    assert mentions(report.warnings, "Loki has nothing of shop of the last day")


def test_a_loki_that_refuses_or_is_not_there_is_a_problem(
    tmp_path: Path, fake_loki: LokiServer
) -> None:
    fake_loki.authorization = "Bearer CANARY"
    report = asked(tmp_path, fake_loki.url, AUDIT_EMIT_LOKI_TOKEN="wrong-CANARY")
    assert mentions(report.problems, "refused with status 401")
    assert "CANARY" not in json.dumps(report.as_dict())
    assert mentions(asked(tmp_path, "http://127.0.0.1:1").problems, "cannot be reached")
    assert mentions(asked(tmp_path, "loki").problems, "must be the address of Loki")


def test_the_command_asks_the_loki_of_the_environment(
    tmp_path: Path,
    fake_loki: LokiServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_JSONL", str(tmp_path / "audit.jsonl"))
    monkeypatch.setenv("AUDIT_EMIT_LOKI_URL", fake_loki.url)
    main(["doctor"])
    assert "The way to Loki" in capsys.readouterr().out
    assert fake_loki.asked


def test_a_clock_that_was_fast_is_a_problem(tmp_path: Path) -> None:
    record = {"ts": ts_of(time.time_ns() + 3600 * 10**9), "event_type": "a.b", "fields": {}}
    (tmp_path / "audit.jsonl").write_text(json.dumps(record) + "\n")
    assert mentions(look(tmp_path).problems, "s ahead of this clock")
