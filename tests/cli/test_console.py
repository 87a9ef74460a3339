"""``audit-emit console`` as a server of its own."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.console_client import log_in
from support.program import PROGRAM
from support.requirements import program
from support.waiting import PATIENCE

from audit_emit.cli import main
from audit_emit.cli._exit import Exit
from audit_emit.console import Access, SignIn


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return log_in(tmp_path / "log")


@contextmanager
def served(log: Path, own: Path, *more: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A running console, and its address."""
    process = subprocess.Popen(
        [*PROGRAM, "console", str(log), "--port", "0", *more],
        env={**os.environ, "AUDIT_EMIT_JSONL": str(own)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[0], process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_comes(log: Path, tmp_path: Path, number: int) -> None:
    own = tmp_path / "own" / "audit.jsonl"
    own.parent.mkdir()
    with served(log, own) as (address, process):
        assert address.startswith("http://localhost:")
        with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
            assert b"secret.rotated" in answer.read()
        process.send_signal(number)
        process.wait(PATIENCE)
        assert process.returncode in {Exit.OK, 128 + number, -number}
    records = [json.loads(line) for line in own.read_text().splitlines()]
    viewed = [one for one in records if one["event_type"] == "console.viewed"]
    assert [one["service"] for one in viewed] == ["audit-console"]


def test_it_speaks_tls_with_a_certificate(log: Path, tmp_path: Path) -> None:
    made = [program("openssl"), "req", "-x509", "-newkey", "ec", "-subj", "/CN=localhost"]
    made += ["-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "k.pem", "-out", "c.pem"]
    made += ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    own = tmp_path / "own" / "audit.jsonl"
    own.parent.mkdir()
    files = ["--certfile", str(tmp_path / "c.pem"), "--keyfile", str(tmp_path / "k.pem")]
    trusted = ssl.create_default_context(cafile=tmp_path / "c.pem")
    with served(log, own, *files) as (address, _):
        assert address.startswith("https://localhost:")
        with urllib.request.urlopen(address, timeout=PATIENCE, context=trusted) as answer:
            assert "Secure" in answer.headers["set-cookie"]


def test_its_own_events_never_go_into_the_log_that_it_shows(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_JSONL", str(log / "audit.jsonl"))
    before = (log / "audit.jsonl").read_bytes()
    assert main(["console", str(log), "--port", "0"]) == Exit.USAGE
    assert "into the log that it shows" in capsys.readouterr().err
    assert (log / "audit.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--bind", "0.0.0.0"], "that needs --users"),
        (["--bind", "192.0.2.1"], "that needs --users"),
        (["--proxy-header", "X-User"], "give that file"),
        (["--oidc-client", "c"], "belong to --oidc"),
        (["--oidc", "https://id.example"], "--oidc needs"),
        (["--certfile", __file__], "belong together"),
        (["--port", "99999"], "--port"),
    ],
)
def test_what_would_be_open_or_makes_no_sense_is_refused(
    log: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    assert main(["console", str(log), *options]) == Exit.USAGE
    assert told in capsys.readouterr().err


def test_a_provider_that_cannot_be_used_is_said(
    log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_CONSOLE_OIDC_SECRET", "s")
    more = ["--oidc", "http://id.example", "--oidc-client", "c", "--url", "https://a.example"]
    assert main(["console", str(log), *more]) == Exit.USAGE
    assert "give that file" in capsys.readouterr().err
    users = log.parent / "users.toml"
    users.write_text('[users."vera@example.com"]\nrole = "viewer"\n')
    assert main(["console", str(log), "--users", str(users), *more]) == Exit.USAGE
    assert "https://" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["authlib", "joserfc"])
def test_the_extra_that_a_provider_needs_is_named(
    log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_CONSOLE_OIDC_SECRET", "s")
    for name in [one for one in sys.modules if one.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    users = log.parent / "users.toml"
    users.write_text('[users."vera@example.com"]\nrole = "viewer"\n')
    more = ["--oidc", "https://id.example", "--oidc-client", "c", "--url", "https://a.example"]
    assert main(["console", str(log), "--users", str(users), *more]) == Exit.USAGE
    assert "audit-emit[oidc]" in capsys.readouterr().err
    with pytest.raises(ModuleNotFoundError, match=r"audit-emit\[oidc\]"):
        SignIn(
            issuer="https://id.example",
            client_id="c",
            client_secret="s",
            url="https://a.example",
        )


def test_a_password_is_hashed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("a password\n"))
    assert main(["console", "--hash-password"]) == Exit.OK
    path = tmp_path / "users.toml"
    path.write_text(f'[users.vera]\npassword = "{capsys.readouterr().out.strip()}"\n')
    header = "Basic dmVyYTphIHBhc3N3b3Jk"  # vera:a password
    assert Access.from_file(path).identify({"authorization": header}) is not None


def test_no_password_is_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert main(["console", "--hash-password"]) == Exit.USAGE
    assert capsys.readouterr().out == ""


def test_a_log_that_is_not_there_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["console", str(tmp_path / "nope")]) == Exit.NOTHING
    assert "there is no log" in capsys.readouterr().err
