"""Keys in the transit engine: OpenBao or Vault where one is at hand, else its answers by HTTP."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.openbao import TOKEN, running

from audit_emit._signing.trusted_keys import Ed25519Key
from audit_emit._signing.uris import remote_key
from audit_emit.errors import ConfigError, SignerError

KEY = Ed25519Key.from_seed(bytes(range(32)))


class Answers:
    """The exchange with the transit engine, as OpenBao 2.7.2 was seen to have it.

    Attributes:
        address: of the server.
        status, spoil: what it answers with instead.
        seen: method, path, headers and body of each request.
    """

    def __init__(self) -> None:
        self.status = 200
        self.spoil: Callable[[dict[str, Any]], Any] = lambda answer: answer
        self.seen: list[tuple[str, str, Any, Any]] = []
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(None)

            def do_POST(self) -> None:
                self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def answer(self, body: Any) -> None:
                answers.seen.append((self.command, self.path, self.headers, body))
                data = json.dumps(answers.spoil(answers.answer(body))).encode()
                self.send_response(answers.status)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Location", "/v1/elsewhere")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, body: Any) -> dict[str, Any]:
        if body is None:
            public = base64.b64encode(KEY.public).decode()
            keys = {"1": {"name": "ed25519", "public_key": public, "creation_time": "x"}}
            return {"request_id": "x", "data": {"keys": keys, "type": "ed25519", "name": "audit"}}
        made = base64.b64encode(KEY.sign(base64.b64decode(body["input"]))).decode()
        signature = f"vault:v{body['key_version']}:{made}"
        return {"data": {"key_version": body["key_version"], "signature": signature}}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    made = Answers()
    for name in ("VAULT_ADDR", "VAULT_TOKEN", "BAO_NAMESPACE", "VAULT_NAMESPACE", "BAO_CACERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BAO_ADDR", made.address)
    monkeypatch.setenv("BAO_TOKEN", TOKEN)
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def uri(public: bytes = KEY.public, **more: str) -> str:
    encoded = base64.urlsafe_b64encode(public).decode()
    rest = "".join(f"&{name.replace('_', '-')}={value}" for name, value in more.items())
    return f"openbao:audit?version=1&public={encoded}&timeout=60{rest}"


def test_it_is_asked_for_the_pinned_version(answers: Answers) -> None:
    remote_key("k", uri(mount="team/transit")).sign(b"text")
    ((method, path, headers, body),) = answers.seen
    assert (method, path) == ("POST", "/v1/team/transit/sign/audit")
    assert body == {"input": base64.b64encode(b"text").decode(), "key_version": 1}
    assert headers["X-Vault-Token"] == TOKEN


def test_what_is_to_be_pinned_is_said(answers: Answers) -> None:
    pinned = base64.urlsafe_b64encode(KEY.public).decode().rstrip("=")
    with pytest.raises(ConfigError, match=f"OpenBao says: public={pinned}"):
        remote_key("k", "openbao:audit?version=1")
    with pytest.raises(ConfigError, match="has no Ed25519 key"):
        remote_key("k", "openbao:audit?version=2")


def test_the_token_may_be_in_a_file_that_is_read_anew(answers: Answers, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.touch(0o600)
    key = remote_key("k", uri(token_source=f"file:{file}"))
    for token in ("first", "second"):
        file.write_text(f"{token}\n")
        key.sign(b"text")
        assert answers.seen[-1][2]["X-Vault-Token"] == token


@pytest.mark.parametrize("status", [204, 307, 403, 500])
def test_another_status_is_a_refusal_and_no_redirect_is_followed(
    answers: Answers, status: int
) -> None:
    answers.status = status
    with pytest.raises(SignerError, match=f"status {status}"):
        remote_key("k", uri()).sign(b"text")
    assert len(answers.seen) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: [],
        lambda _: {"data": None},
        lambda _: {"data": {}},
        lambda _: {"data": {"signature": 3}},
        lambda _: {"data": {"signature": "vault:v1:*"}},
        lambda _: {"data": {"signature": "vault:v2:" + base64.b64encode(bytes(64)).decode()}},
        lambda answer: {"more": "x" * 70_000, **answer},
    ],
)
def test_an_answer_that_is_none_is_refused(answers: Answers, spoil: Any) -> None:
    answers.spoil = spoil
    with pytest.raises(SignerError) as caught:
        remote_key("k", uri()).sign(b"text")
    assert caught.value.reason == "refused"


def test_a_signature_by_another_key_is_refused(answers: Answers) -> None:
    other = Ed25519Key.from_seed(bytes(range(1, 33))).public
    with pytest.raises(SignerError, match="pinned key"):
        remote_key("k", uri(other)).sign(b"text")


def test_a_real_server_signs_with_the_pinned_version_also_when_the_key_was_rotated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path, monkeypatch) as server:
        server.told("transit/keys/audit", {"type": "ed25519"})
        with pytest.raises(ConfigError, match="OpenBao says: public=") as caught:
            remote_key("k", "openbao:audit?version=1&timeout=60")
        pinned = str(caught.value).partition("public=")[2].partition(" ")[0]
        key = remote_key("k", f"openbao:audit?version=1&timeout=60&public={pinned}")
        key.sign(bytes(4096))
        server.told("transit/keys/audit/rotate", {})
        key.sign(b"text")
        newer = remote_key("k", f"openbao:audit?version=2&timeout=60&public={pinned}")
        with pytest.raises(SignerError, match="pinned key"):
            newer.sign(b"text")
