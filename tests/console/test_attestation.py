"""The console in a real browser: an attestation is checked where the server has no say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from console.test_browser import VKEY, browser, page, signed
from playwright.sync_api import Page, expect
from support.archived_log import KEY, ORIGIN, SignedLog
from support.served_console import Served

from audit_emit._format.dsse import Envelope, seal
from audit_emit._signing.trusted_keys import Ed25519Key, private_pem
from audit_emit.cli import main

__all__ = ["browser", "page", "signed"]


class TestAnAttestation:
    """Checked where the server has no say."""

    @pytest.fixture(autouse=True)
    def served(self, signed: SignedLog) -> Iterator[Served]:
        run = {"correlation_id": "run-7", "actor_kind": "agent"}
        emit = signed.emitter.emit
        emit(run, "agent.run_started", {"model": "módel-1", "platform": "runner"})
        for outcome in ("success", "failure", 7):
            emit(run, "agent.tool_called", {"tool": "x", "outcome": outcome, "password": "of x"})
            emit(None, "secret.read")
        signed.emitter.record_own("audit.gap", {"lost": 2, "sink": "file"})
        emit(run, "agent.tool_called", {"tool": "x"})
        signed.sign()
        found = Served(signed.directory)
        yield found
        found.stop()

    def attested(self, signed: SignedLog, tmp_path: Path, *options: str) -> Path:
        pem, made = tmp_path / "key.pem", tmp_path / "a.json"
        pem.touch(0o600)
        pem.write_text(private_pem(b"\7" * 32))
        command = ["attest", str(signed.directory), "--key", str(pem), "--out", str(made)]
        assert main([*command, "--force", *options]) == 0
        return made

    def checked(self, page: Page, served: Served, file: Path, key: str = VKEY) -> str:
        page.goto(f"{served.address}/verify")
        page.get_by_label("Verifier key").fill(key)
        page.get_by_label("Attestation").set_input_files(file)
        page.get_by_role("button", name="Check the attestation").click()
        result = page.locator("#attested")
        expect(result).to_contain_text(
            re.compile("says the same|Not verified|No verdict"), timeout=60_000
        )
        return str(result.inner_text())

    @pytest.mark.parametrize(
        "options",
        [(), ("--correlation", "run-7", "--bundle"), ("--from", "2", "--to", "250")],
        ids=["all", "run", "range"],
    )
    def test_the_browser_computes_the_same_as_the_command(
        self, page: Page, served: Served, signed: SignedLog, tmp_path: Path, options: Any
    ) -> None:
        text = self.checked(page, served, self.attested(signed, tmp_path, *options))
        assert "Signed by the pinned key, and the log says the same" in text

    def test_what_is_not_true_is_named(
        self, page: Page, served: Served, signed: SignedLog, tmp_path: Path
    ) -> None:
        file = self.attested(signed, tmp_path, "--correlation", "run-7")
        statement = json.loads(Envelope.from_bytes(file.read_bytes()).payload)
        statement["predicate"]["agent"]["toolCalls"] = {"success": 4}
        file.write_text(json.dumps(seal(KEY, json.dumps(statement).encode()).to_dict()))
        text = self.checked(page, served, file)
        assert "Not verified: the log says otherwise" in text
        assert "predicate.agent" in text

    def test_another_key_is_no_signature(
        self, page: Page, served: Served, signed: SignedLog, tmp_path: Path
    ) -> None:
        other = Ed25519Key.from_seed(b"\x08" * 32)
        file = self.attested(signed, tmp_path)
        text = self.checked(page, served, file, other.to_vkey(ORIGIN))
        assert "signed by another key" in text
        envelope = Envelope.from_bytes(file.read_bytes())._replace(key_id=other.fingerprint)
        file.write_text(json.dumps(envelope.to_dict()))
        text = self.checked(page, served, file, other.to_vkey(ORIGIN))
        assert "not signed by the pinned key" in text

    def test_what_a_screen_would_obey_is_spelled_out(
        self, page: Page, served: Served, signed: SignedLog, tmp_path: Path
    ) -> None:
        file = self.attested(signed, tmp_path)
        envelope = Envelope.from_bytes(file.read_bytes())
        file.write_text(json.dumps(envelope._replace(key_id="SHA256:\u202ex").to_dict()))
        assert "another key, SHA256:\\u{202e}x" in self.checked(page, served, file)
        statement = json.loads(envelope.payload)
        statement["predicate"]["agent"]["\u202eagent"] = "\u2066x"
        file.write_text(json.dumps(seal(KEY, json.dumps(statement).encode()).to_dict()))
        text = self.checked(page, served, file)
        assert not {"\u202e", "\u2066"} & set(text)
        assert "\\u{202e}agent" in text
