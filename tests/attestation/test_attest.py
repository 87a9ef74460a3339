"""An attestation says what the log says, and others' libraries accept it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support import requirements
from support.attested_log import SEED, AttestedLog
from support.prunable_log import PrunableLog
from support.waiting import PATIENCE

from audit_emit._attestation.attest import Checked, attest, check_attestation
from audit_emit._attestation.segment import Wanted, _Pass
from audit_emit._attestation.statement import PREDICATE_TYPE
from audit_emit._checkpoints.new_leaves import GrowingTree, Position
from audit_emit._format.chain import merkle_root
from audit_emit._format.dsse import Envelope, seal
from audit_emit._format.key_change import Succession
from audit_emit._format.record import head_of
from audit_emit._readers.opening import open_reader
from audit_emit._signing.trusted_keys import Ed25519Key, HmacKey, KeyRing
from audit_emit.errors import CheckpointError, ConfigError

AT = "2026-05-20T00:00:00.000000000Z"
RUN = Wanted(1, 0, "run-7")


@pytest.fixture
def run(tmp_path: Path) -> AttestedLog:
    return AttestedLog(tmp_path / "log")


def attested(run: AttestedLog, wanted: Wanted = RUN, **how: Any) -> Envelope:
    return attest(partial(open_reader, str(run.directory)), run.ring, wanted, at=AT, **how)


def checked(run: AttestedLog, envelope: Envelope, **how: Any) -> Checked:
    data = json.dumps(envelope.to_dict()).encode()
    ring = how.pop("ring", run.ring)
    return check_attestation(data, partial(open_reader, str(run.directory)), ring, **how)


def predicate_of(envelope: Envelope) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(envelope.payload)["predicate"]
    return found


def forged(run: AttestedLog, change: Any) -> Envelope:
    """A statement that the operator, who has the key, has signed although it is not true."""
    statement = json.loads(attested(run).payload)
    change(statement)
    return seal(run.key, json.dumps(statement).encode())


def test_the_records_of_a_run_are_told_and_no_others(run: AttestedLog) -> None:
    envelope = attested(run)
    statement, said = json.loads(envelope.payload), predicate_of(envelope)
    mine = [line + b"\n" for line in run.lines if b'"run-7"' in line]
    assert statement["subject"][0]["digest"] == {"sha256": sha256(b"".join(mine)).hexdigest()}
    assert said["correlationId"] == "run-7"
    assert (said["firstSeq"], said["lastSeq"], said["records"]) == (4, 8, 4)
    assert said["agent"] == {
        "models": ["model-x-1"],
        "platforms": ["runner"],
        "toolCalls": {"failure": 1, "success": 2},
        "secretsHeldBack": 1,
    }
    assert said["outcomes"] == {"failure": 1, "success": 2}


def test_what_the_log_declares_between_the_records_is_told_and_nothing_before(
    run: AttestedLog,
) -> None:
    assert predicate_of(attested(run))["findings"] == {"declared-gap": 1}
    assert predicate_of(attested(run, Wanted(1, 8)))["findings"] == {"declared-gap": 2}
    assert predicate_of(attested(run, Wanted(7, 8)))["findings"] == {}


def test_the_hashes_and_roots_are_those_of_the_records(run: AttestedLog) -> None:
    said = predicate_of(attested(run, Wanted(3, 6)))
    heads = [head_of(line) for line in run.lines]
    hashes = [head.hash for head in heads if head is not None]
    leaves = [bytes.fromhex(digest) for digest in hashes]
    assert (said["prevHash"], said["firstHash"], said["lastHash"]) == (
        *(hashes[1], hashes[2]),
        hashes[5],
    )
    assert said["rootBefore"] == merkle_root(leaves[:2]).hex()
    assert said["rootAfter"] == merkle_root(leaves[:6]).hex()
    assert said["checkpoint"]["rootHash"] == merkle_root(leaves).hex()


@pytest.mark.parametrize("wanted", [RUN, Wanted(1, 0), Wanted(2, 7), Wanted(8, 8)])
def test_the_same_log_bears_it_out_also_when_it_has_grown(run: AttestedLog, wanted: Wanted) -> None:
    envelope = attested(run, wanted)
    assert checked(run, envelope).verdict == "ok"
    run.call("success")
    run.write()
    assert checked(run, envelope) == checked(run, envelope)._replace(verdict="ok", why="")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("records", 3),
        ("lastSeq", 7),
        ("firstHash", "0" * 64),
        ("rootAfter", "0" * 64),
        ("origin", "audit.example.com/other/00d1c0ffee00beef"),
        ("findings", {}),
        ("correlationId", "run-8"),
        ("unheard", "of"),
        ("policy", {"digest": {"sha256": "0" * 64}, "path": "/etc/passwd"}),
    ],
)
def test_a_lie_is_found_although_it_is_signed(run: AttestedLog, member: str, value: Any) -> None:
    envelope = forged(run, lambda statement: statement["predicate"].update({member: value}))
    assert checked(run, envelope).verdict == "mismatch"


@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b"{}",
        b'{"_type":"https://in-toto.io/Statement/v1","predicateType":"x","predicate":{}}',
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b'{"a":1,"a":1}',
        b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b'{"a":' + b"9" * 5000 + b"}",
        b"\xff",
    ],
    ids=lambda payload: repr(payload[:20]),
)
def test_what_is_no_statement_of_this_kind_is_refused(run: AttestedLog, payload: bytes) -> None:
    envelope = Envelope(payload, "application/vnd.in-toto+json", "", bytes(64))
    with pytest.raises(ValueError, match=r"statement|payload"):
        checked(run, envelope)


def test_a_payload_of_another_type_is_refused_whoever_signed_it(run: AttestedLog) -> None:
    with pytest.raises(ValueError, match="no in-toto statement"):
        checked(run, seal(run.key, attested(run).payload, "text/plain"))


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("firstSeq", 0),
        ("lastSeq", 9),
        ("firstSeq", 4.0),
        ("firstSeq", True),
        ("checkpoint", {"size": 2**63}),
        ("correlationId", 3),
        ("generatedAt", None),
        ("generatedAt", "yesterday"),
        ("policy", {"digest": {"sha256": "x" * 64}}),
        ("policy", {"digest": "x"}),
    ],
)
def test_a_predicate_that_is_malformed_is_refused(
    run: AttestedLog, member: str, value: Any
) -> None:
    envelope = forged(run, lambda statement: statement["predicate"].update({member: value}))
    with pytest.raises(ValueError, match="malformed"):
        checked(run, envelope)


def test_what_is_not_true_is_named(run: AttestedLog) -> None:
    def lie(statement: dict[str, Any]) -> None:
        statement["predicate"]["agent"]["toolCalls"] = {"success": 3}

    found = checked(run, forged(run, lie))
    assert found.why == "the log says otherwise"
    (difference,) = found.differences
    assert difference.member == "predicate.agent"
    assert '"failure":1' in difference.log


def test_another_log_does_not_bear_it_out(run: AttestedLog, tmp_path: Path) -> None:
    other = AttestedLog(tmp_path / "other", chain="00d1c0ffee00bee0")
    found = checked(other, attested(run))
    assert (found.verdict, found.why) == ("mismatch", "the log says otherwise")


def test_a_log_that_was_tampered_with_is_not_attested_and_bears_nothing_out(
    run: AttestedLog,
) -> None:
    envelope = attested(run)
    file = run.directory / "audit.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"failure"', b'"success"'))
    with pytest.raises(CheckpointError, match="does not verify"):
        attested(run)
    assert checked(run, envelope).verdict == "mismatch"


def test_a_stranger_s_signature_counts_for_nothing(run: AttestedLog) -> None:
    stranger = Ed25519Key.from_seed(bytes(32))
    envelope = attested(run)
    assert checked(run, seal(stranger, envelope.payload)).verdict == "key-unavailable"
    unnamed = checked(run, envelope._replace(key_id=""))
    assert (unnamed.verdict, unnamed.key_id) == ("ok", run.key.fingerprint)
    claimed = seal(stranger, envelope.payload)._replace(key_id=run.key.fingerprint)
    assert checked(run, claimed).verdict == "mismatch"
    assert checked(run, envelope, ring=KeyRing([stranger])).verdict != "ok"
    assert checked(run, envelope, ring=KeyRing()).verdict == "key-unavailable"


def test_the_policy_must_be_the_one_that_whoever_checks_names(run: AttestedLog) -> None:
    envelope = attested(run, policy="ab" * 32)
    assert predicate_of(envelope)["policy"] == {"digest": {"sha256": "ab" * 32}}
    assert checked(run, envelope).verdict == "ok"
    assert checked(run, envelope, policy="ab" * 32).verdict == "ok"
    assert checked(run, envelope, policy="cd" * 32).verdict == "mismatch"
    assert checked(run, attested(run), policy="cd" * 32).verdict == "mismatch"


def test_what_no_checkpoint_covers_is_not_attested(run: AttestedLog) -> None:
    with pytest.raises(ValueError, match="covers record 9 yet"):
        attested(run, Wanted(1, 9))
    with pytest.raises(LookupError):
        attested(run, Wanted(1, 0, "run-8"))


def test_a_shared_key_attests_nothing(run: AttestedLog) -> None:
    run.ring = KeyRing([run.key, HmacKey(bytes(32))])
    with pytest.raises(ConfigError, match="Ed25519"):
        attested(run)


def test_a_statement_of_many_names_stays_within_what_is_signed(tmp_path: Path) -> None:
    run = AttestedLog(tmp_path / "log")
    for number in range(40):
        name = f"x{number}." + ".".join("y" * 15 for _ in range(7))
        run.chain.add(event_type=name, fields={"outcome": "é" * 300 + str(number)})
    run.write()
    envelope = attested(run, Wanted(1, 0))
    types = predicate_of(envelope)["eventTypes"]
    assert sum(types.values()) == len(run.lines)
    assert len(envelope.payload) <= 4096
    assert checked(run, envelope).verdict == "ok"


@pytest.mark.parametrize("wanted", [Wanted(1, 8, "run-7"), Wanted(3, 6), Wanted(1, 8)])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_it_does_not_matter_how_a_log_is_cut_into_blocks(
    run: AttestedLog, wanted: Wanted, size: int
) -> None:
    found = []
    for step in (8, size):
        reading = _Pass(GrowingTree(Position.genesis()), wanted, 8)
        for at in range(0, 8, step):
            reading.feed(b"".join(line + b"\n" for line in run.lines[at : at + step]))
        segment = reading.result(Succession(run.ring))
        tally = vars(segment.tally) | {"_digest": segment.tally.digest}
        tally |= {name: tally[name].root() for name in ("before", "after")}
        found.append((tally, segment.findings, segment.configurations))
    assert found[0] == found[1]


def test_a_log_whose_beginning_was_removed_is_attested_from_there_on(tmp_path: Path) -> None:
    key = Ed25519Key.from_seed(SEED)
    log = PrunableLog(tmp_path / "log", records=40, part=10, ring=KeyRing([key]))
    opened = partial(open_reader, str(log.path))
    before = attest(opened, log.ring, Wanted(1, 20), at=AT)
    data = json.dumps(attest(opened, log.ring, Wanted(25, 35), at=AT).to_dict()).encode()
    segments = len(log.segments())
    log.prune(days=20 / 24)
    assert len(log.segments()) < segments
    assert check_attestation(data, opened, log.ring).verdict == "ok"
    attest(opened, log.ring, Wanted(25, 35), at=AT)
    gone = check_attestation(json.dumps(before.to_dict()).encode(), opened, log.ring)
    assert gone.verdict == "mismatch"
    assert "was removed" in gone.why


def test_what_was_attested_once_is_borne_out_for_good(run: AttestedLog) -> None:
    """The vector was made by version 0.1.0; the predicate of a later one must be the same."""
    kept = (Path(__file__).parent.parent / "vectors" / "attestation.json").read_bytes()
    opened = partial(open_reader, str(run.directory))
    assert check_attestation(kept, opened, run.ring).verdict == "ok"
    made, frozen = predicate_of(attested(run)), predicate_of(Envelope.from_bytes(kept))
    assert made.pop("generatedBy").startswith("audit_emit ")
    assert frozen.pop("generatedBy") == "audit_emit 0.1.0"
    assert list(made.items()) == list(frozen.items())


# Others' implementations


def test_securesystemslib_verifies_the_envelope(run: AttestedLog) -> None:
    dsse = requirements.package("securesystemslib", "securesystemslib.dsse")
    signer = requirements.package("securesystemslib", "securesystemslib.signer")
    envelope = attested(run)
    value = {"public": run.key.public.hex()}
    key = signer.SSlibKey(run.key.fingerprint, "ed25519", "ed25519", value)
    theirs = dsse.Envelope.from_dict(envelope.to_dict())
    assert list(theirs.verify([key], 1)) == [run.key.fingerprint]
    spoilt = dsse.Envelope.from_dict(envelope._replace(payload=b"{}").to_dict())
    with pytest.raises(Exception, match="do not match threshold"):
        spoilt.verify([key], 1)


def test_in_toto_reads_and_validates_the_statement(run: AttestedLog) -> None:
    statement = requirements.package("in-toto-attestation", "in_toto_attestation.v1.statement")
    messages = requirements.package("in-toto-attestation", "in_toto_attestation.v1.statement_pb2")
    json_format = requirements.package("protobuf", "google.protobuf.json_format")
    parsed = json_format.Parse(attested(run).payload, messages.Statement())
    statement.Statement.copy_from_pb(parsed).validate()
    assert parsed.predicate_type == PREDICATE_TYPE


def test_cosign_verifies_the_bundle_and_nothing_else(run: AttestedLog, tmp_path: Path) -> None:
    named = os.environ.get("TEST_COSIGN") or shutil.which("cosign")
    if not named:
        requirements.missing("cosign", "no program cosign on the path, nor in TEST_COSIGN")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key()
    pem = tmp_path / "key.pub"
    pem.write_bytes(
        public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    bundle, blob = tmp_path / "bundle.json", tmp_path / "segment.jsonl"
    bundle.write_text(json.dumps(attested(run, Wanted(2, 7)).to_bundle()))

    def verdict(lines: list[bytes]) -> int:
        blob.write_bytes(b"".join(line + b"\n" for line in lines))
        arguments = ["--key", str(pem), "--bundle", str(bundle), "--type", PREDICATE_TYPE]
        return subprocess.run(
            [named, "verify-blob-attestation", *arguments, "--insecure-ignore-tlog", str(blob)],
            env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        ).returncode

    assert verdict(run.lines[1:7]) == 0
    assert verdict(run.lines[1:6]) != 0
