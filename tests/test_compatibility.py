"""What version 0.1.0 wrote: logs, checkpoints, states and proofs, verified as ever."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.verifier_comparison import both, kinds, ours

from audit_emit import Emitter
from audit_emit._checkpoints.checkpointer import Checkpointer
from audit_emit._checkpoints.signer_state import SignerFiles
from audit_emit._format.proof_file import Evidence
from audit_emit._format.record import ns_of
from audit_emit._signing.trusted_keys import Ed25519Key, HmacKey, Key, KeyRing, parse_keys
from audit_emit._stores.jsonl.directory import Layout
from audit_emit._verify.findings import Report

FROZEN = Path(__file__).parent / "vectors" / "version-0.1.0"
KEYS: dict[str, str] = json.loads((FROZEN / "keys.json").read_bytes())
AS_OF = ns_of(KEYS["as_of"][:19] + ".000000000Z")
ORIGIN = "audit.example.com/secrets-api"


def key(name: str) -> Key:
    """The key that signed a log first."""
    (found,) = parse_keys("key", KEYS["hmac" if name.startswith("hmac") else "ed25519"])
    return found


def verified(name: str, *more: Key, **options: Any) -> Report:
    return ours(FROZEN / name, key(name), *more, as_of=options.pop("as_of", AS_OF), **options)


@pytest.mark.parametrize(
    ("name", "anchored", "after"),
    [
        ("hmac", 36, 4),
        ("ed25519", 35, 4),
        ("ed25519-rotated", 40, 4),
        ("signed-to-the-end", 35, 1),
    ],
)
def test_a_log_verifies_with_the_key_that_was_pinned_then(
    name: str, anchored: int, after: int
) -> None:
    report = verified(name)
    assert report.exit_status == 0
    assert (report.anchored_seq, report.last_seq - report.anchored_seq) == (anchored, after)
    assert report.anchored_time == 0, "nobody signed the time then"
    assert set(kinds(report)) <= {"recovered-tear"}


def test_both_hmac_keys_are_needed_as_ever() -> None:
    second = HmacKey(bytes.fromhex(KEYS["hmac_new"]))
    assert verified("hmac-rotated").exit_status == 4
    report = verified("hmac-rotated", second)
    assert (report.exit_status, report.anchored_seq) == (0, 39)


@pytest.mark.parametrize("name", ["hmac", "hmac-rotated"])
def test_the_other_verifiers_say_the_same(name: str) -> None:
    keys = [bytes.fromhex(KEYS["hmac"]), bytes.fromhex(KEYS["hmac_new"])]
    assert both(FROZEN / name, keys[1], key=keys[0], as_of=AS_OF).exit_status == 0


def test_later_on_a_log_says_what_it_lacks() -> None:
    """Its last records were never signed; whoever accepts that says so, or names the time."""
    later = AS_OF + 7200 * 10**9
    report = verified("ed25519", as_of=later)
    assert (report.exit_status, kinds(report)) == (1, {"not-anchored": [35]})
    assert verified("ed25519", as_of=later, anchor_required=False).exit_status == 0
    assert verified("signed-to-the-end", as_of=later).exit_status == 0


@pytest.mark.parametrize("path", sorted(FROZEN.glob("*.proof.json")), ids=lambda path: path.name)
def test_a_proof_verifies(path: Path) -> None:
    evidence = Evidence.from_bytes(path.read_bytes())
    assert evidence.judge(KeyRing([key(path.name)])).verdict == "ok"
    assert evidence.judge(KeyRing()).verdict == "key-unavailable"


@pytest.mark.parametrize("name", ["hmac", "ed25519", "ed25519-rotated"])
def test_a_signer_goes_on_from_its_state(name: str, tmp_path: Path) -> None:
    directory = tmp_path / name
    shutil.copytree(FROZEN / name, directory)
    seed = KEYS["ed25519_new_seed" if name.endswith("rotated") else "ed25519_seed"]
    signing = key(name) if name == "hmac" else Ed25519Key.from_seed(bytes.fromhex(seed))
    ring = KeyRing([signing])
    assert SignerFiles(Layout.of(str(directory / "audit.jsonl"))).load(ring).state is not None
    emitter = Emitter(service="secrets-api", jsonl=directory / "audit.jsonl", stdout=False)
    emitter.emit(None, "secret.get", {"key": "k"})
    signer = Checkpointer(
        str(directory / "audit.jsonl"), ring, origin=ORIGIN, record=emitter.record_own
    )
    made = signer.run("manual")
    emitter.close()
    assert made is not None
    report = ours(directory, key(name))
    assert (report.exit_status, report.anchored_seq) == (0, made.head_seq)
