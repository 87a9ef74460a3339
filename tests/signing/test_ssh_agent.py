"""Keys in an SSH agent: OpenSSH's own, and one that answers whatever it likes."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.attested_log import SEED, AttestedLog
from support.ssh_agent import Agent, ssh_agent
from support.waiting import PATIENCE

from audit_emit import Emitter
from audit_emit._signing.ssh_agent import SshAgent
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing, private_pem
from audit_emit._signing.uris import remote_key
from audit_emit.cli import main
from audit_emit.cli._exit import Exit
from audit_emit.errors import ConfigError, SignerError
from audit_emit.log import open_log

__all__ = ["ssh_agent"]

KEY = Ed25519Key.from_seed(SEED)


def uri_of(agent: Agent, public: bytes | None = None) -> str:
    pinned = base64.urlsafe_b64encode(public or agent.public).decode()
    return f"ssh-agent:{agent.socket}?public={pinned}&timeout=60"


def test_the_agent_signs(ssh_agent: Agent) -> None:
    key = remote_key("k", uri_of(ssh_agent))
    text = bytes(4096)
    assert Ed25519Key(ssh_agent.public).verify(text, key.sign(text))


def test_what_is_to_be_pinned_is_said(ssh_agent: Agent) -> None:
    pinned = base64.urlsafe_b64encode(ssh_agent.public).decode().rstrip("=")
    with pytest.raises(ConfigError, match=f"says: public={pinned}"):
        remote_key("k", f"ssh-agent:{ssh_agent.socket}?timeout=60")


def test_a_key_that_the_agent_does_not_have_signs_nothing(ssh_agent: Agent) -> None:
    with pytest.raises(SignerError, match="does not have the pinned key"):
        remote_key("k", uri_of(ssh_agent, KEY.public)).sign(b"text")


def test_a_log_is_signed_handed_over_and_verified(
    ssh_agent: Agent, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The old key, in a file, signs the name of the new one, in the agent; then that one signs."""
    run = AttestedLog(tmp_path / "log")
    log, old, uri = str(run.directory), tmp_path / "old.pem", uri_of(ssh_agent)
    old.write_text(private_pem(SEED))
    old.chmod(0o600)
    origin = ["--origin", "audit.example.com/shop"]
    rotate = ["--key", str(old), "--rotate-to", uri]
    assert main(["checkpoint", log, *rotate, *origin]) == Exit.OK
    assert main(["checkpoint", log, "--key", uri, *origin]) == Exit.OK
    assert main(["attest", log, "--key", uri, "--out", str(tmp_path / "a.json")]) == Exit.OK
    verifier = ["--key", run.key.to_vkey("audit.example.com/shop")]
    capsys.readouterr()
    assert main(["verify", log, "--json", *verifier]) == Exit.INCOMPLETE
    assert json.loads(capsys.readouterr().out)["counts"] == {"declared-gap": 2}
    assert main(["verify-attestation", str(tmp_path / "a.json"), log, *verifier]) == Exit.OK


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork with threads
def test_a_service_signs_with_it_and_so_does_what_it_forks(
    ssh_agent: Agent, tmp_path: Path
) -> None:
    log = tmp_path / "log" / "audit.jsonl"
    made = Emitter(service="tests", jsonl=log, stdout=False, signing_key=uri_of(ssh_agent))
    made.emit(None, "a.b", {"n": 1})
    child = os.fork()
    if child == 0:
        made.emit(None, "a.b", {"n": 2})
        os._exit(0 if made.close(30.0) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    made.emit(None, "a.b", {"n": 3})
    assert made.close(PATIENCE)
    vkey = Ed25519Key(ssh_agent.public).to_vkey("audit_emit/tests")
    report = open_log(log.parent, keys=[vkey]).verify()
    assert report.exit_status == 0
    assert report.unanchored == 0


@contextmanager
def answering(tmp_path: Path, answer: bytes) -> Iterator[SshAgent]:
    """An agent that reads a request and gives this, whatever was asked."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                (length,) = struct.unpack(">I", connection.recv(4, socket.MSG_WAITALL))
                connection.recv(length, socket.MSG_WAITALL)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield SshAgent(path)
        thread.join()


def framed(kind: int, body: bytes) -> bytes:
    return struct.pack(">IB", len(body) + 1, kind) + body


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0\0",
        struct.pack(">I", 0),
        struct.pack(">I", 2**32 - 1),
        framed(5, b""),
        framed(14, b""),
        framed(14, struct.pack(">I", 2**32 - 1)),
        framed(14, struct.pack(">II", 8, 9) + bytes(4)),
        framed(14, struct.pack(">I", 15) + struct.pack(">I", 7) + b"ssh-rsa" + bytes(4)),
    ],
    ids=lambda answer: answer.hex()[:20] or "nothing",
)
def test_an_answer_that_is_none_is_refused(tmp_path: Path, answer: bytes) -> None:
    with answering(tmp_path, answer) as agent, pytest.raises(SignerError):
        agent.sign(KEY.public, b"text", 60)


def test_a_list_of_keys_that_is_none_is_refused(tmp_path: Path) -> None:
    endless = framed(12, struct.pack(">I", 2**32 - 1))
    with answering(tmp_path, endless) as agent, pytest.raises(SignerError):
        agent.keys(60)


def test_keys_of_other_kinds_are_passed_over(tmp_path: Path) -> None:
    def string(data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + data

    rsa = string(string(b"ssh-rsa") + string(b"x")) + string(b"old")
    mine = string(string(b"ssh-ed25519") + string(KEY.public)) + string(b"audit\x1b")
    with answering(tmp_path, framed(12, struct.pack(">I", 2) + rsa + mine)) as agent:
        (held,) = agent.keys(60)
    assert held.public == KEY.public
    assert KeyRing([KEY]).signer is KEY
