"""``audit-emit attest`` and ``verify-attestation``: statuses, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.attested_log import SEED, AttestedLog

from audit_emit._signing.trusted_keys import private_pem
from audit_emit.cli import main
from audit_emit.cli._exit import Exit


class Place:
    """A signed log, and both halves of its key as files."""

    def __init__(self, directory: Path) -> None:
        self.run = AttestedLog(directory / "log")
        self.log = str(self.run.directory)
        self.pem, self.vkey = directory / "key.pem", directory / "vkey"
        self.pem.write_text(private_pem(SEED))
        self.pem.chmod(0o600)
        self.vkey.write_text(self.run.key.to_vkey("audit.example.com/shop"))
        self.out = directory / "run.att.json"

    def attest(self, *options: str) -> int:
        key = ["--key", str(self.pem), "--out", str(self.out), "--force"]
        return main(["attest", self.log, *key, *options])

    def verify(self, *options: str, key: bool = True) -> int:
        keys = ["--key", str(self.vkey)] if key else []
        return main(["verify-attestation", str(self.out), self.log, *keys, *options])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize(
    ("options", "records"),
    [
        ([], 8),
        (["--from", "3", "--to", "6"], 4),
        (["--correlation", "run-7", "--bundle"], 4),
        (["--since", "2026-05-19T20:00:02Z"], 6),
        (["--since", "2026-05-19T20:00:02Z", "--until", "2026-05-19T20:00:04Z"], 2),
    ],
    ids=str,
)
def test_what_is_attested_is_verified(
    place: Place, options: list[str], records: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.attest(*options) == Exit.OK
    assert ("mediaType" in json.loads(place.out.read_text())) is ("--bundle" in options)
    assert place.verify("--json") == Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "ok"
    assert found["statement"]["predicate"]["records"] == records


def test_people_are_told_what_holds_and_what_does_not(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.attest("--correlation", "run-7") == Exit.OK
    assert place.verify() == Exit.OK
    told = capsys.readouterr().out
    assert "verified: 4 records, 4 to 8 of audit.example.com/shop/" in told
    assert f"signed by {place.run.key.fingerprint}" in told
    file = place.run.directory / "audit.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"failure"', b'"success"'))
    assert place.verify() == Exit.FINDINGS
    assert "not verified: the log does not bear it out" in capsys.readouterr().out


def test_without_the_key_nothing_is_verified_yet(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.attest() == Exit.OK
    assert place.verify(key=False) == Exit.INCOMPLETE
    assert "--key" in capsys.readouterr().out


def test_the_policy_is_a_file_of_which_only_the_digest_is_told(
    place: Place, tmp_path: Path
) -> None:
    policy, other = tmp_path / "agent.yaml", tmp_path / "other.yaml"
    policy.write_text("allow: [search]\n")
    other.write_text("allow: [all]\n")
    assert place.attest("--policy", str(policy)) == Exit.OK
    assert place.verify("--policy", str(policy)) == Exit.OK
    assert place.verify("--policy", str(other)) == Exit.FINDINGS


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        (["--from", "2", "--correlation", "x"], Exit.USAGE, "exclude each other"),
        (["--from", "5", "--to", "2"], Exit.USAGE, "nothing from 5 to 2"),
        (["--to", "9"], Exit.INCOMPLETE, "no checkpoint covers record 9 yet"),
        (["--correlation", "x"], Exit.NOTHING, "no such record"),
        (["--since", "2026-05-20"], Exit.NOTHING, "no record of that time"),
    ],
    ids=str,
)
def test_what_cannot_be_attested_is_said(
    place: Place,
    options: list[str],
    status: Exit,
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert place.attest(*options) == status
    assert told in capsys.readouterr().err
    assert not place.out.exists()


def test_a_key_that_only_verifies_attests_nothing(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["attest", place.log, "--key", str(place.vkey)]) == Exit.USAGE
    assert "Ed25519 key which can sign" in capsys.readouterr().err
    assert main(["attest", place.log]) == Exit.USAGE


def test_a_file_that_holds_something_else_is_nothing(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.out.write_text('{"payload": "\x1b[31m"}')
    assert place.verify() == Exit.NOTHING
    assert "\x1b" not in capsys.readouterr().err


def test_a_key_that_was_replaced_speaks_for_nothing_that_came_after(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.pem"
    new.write_text(private_pem(bytes(32)))
    new.chmod(0o600)
    rotate = ["--key", str(place.pem), "--rotate-to", str(new)]
    origin = ["--origin", "audit.example.com/shop"]
    assert main(["checkpoint", place.log, *rotate, *origin]) == Exit.OK
    capsys.readouterr()
    assert place.attest("--to", "9") == Exit.INCOMPLETE
    place.pem.write_text(private_pem(SEED) + private_pem(bytes(32)))
    assert place.attest("--to", "9") == Exit.OK
    assert place.verify() == Exit.OK  # the old verifier key leads to the new one
    capsys.readouterr()
    place.pem.write_text(private_pem(bytes(32)) + private_pem(SEED))
    assert place.attest("--to", "9") == Exit.FINDINGS
    assert "retired" in capsys.readouterr().err
