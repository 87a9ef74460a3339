"""The verifier in the browser: its own SHA-256, and logs whose beginning was removed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from console.test_browser import browser, page, verified
from playwright.sync_api import Page, expect
from support.archived_log import KEY
from support.chain_builder import rewritten
from support.prunable_log import ORIGIN, PrunableLog
from support.served_console import Served

from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing
from audit_emit.log import open_log

__all__ = ["browser", "page"]

RING = KeyRing([KEY])
VKEY = KEY.to_vkey(ORIGIN)
once = pytest.mark.parametrize("page", [("light", 1280)], indirect=True, ids=["wide"])


@pytest.fixture
def log(tmp_path: Path) -> PrunableLog:
    return PrunableLog(tmp_path / "log", records=500, part=100, ring=RING)


@pytest.fixture
def served(log: PrunableLog) -> Iterator[Served]:
    found = Served(log.path)
    yield found
    found.stop()


def last_removed(log: PrunableLog) -> int:
    first = json.loads(log.segments()[0].read_bytes().splitlines()[0])
    return int(first["seq"]) - 1


@once
def test_its_sha256_is_that_of_hashlib(page: Page, served: Served) -> None:
    # Lengths around every boundary of the padding (FIPS 180-4, section 5.1.1), and long ones.
    made = random.Random(0)
    texts = [made.randbytes(length) for length in (*range(200), 4090, 4096, 4097, 70_001)]
    page.goto(f"{served.address}/help")
    found = page.evaluate(
        "async (texts) => { const { hashed, hex, unhex } = await import('/static/sha256.js');"
        " return texts.map((one) => hex(hashed(unhex(one)))); }",
        [text.hex() for text in texts],
    )
    assert found == [sha256(text).hexdigest() for text in texts]


@once
def test_a_log_whose_beginning_was_removed_holds_by_the_key_that_says_so(
    page: Page, served: Served, log: PrunableLog
) -> None:
    log.prune(10)
    log.sign()
    text = verified(page, served, VKEY)
    assert "The log holds. Signed by the pinned key" in text
    assert f"Records 1 to {last_removed(log)} were removed" in text
    # A second removal, and what this browser saw is gone by then.
    log.prune(5)
    log.sign()
    text = verified(page, served, VKEY)
    assert "The log holds. Signed by the pinned key" in text
    assert f"Records 1 to {last_removed(log)} were removed" in text


@once
def test_a_removal_that_the_pinned_key_did_not_sign_is_a_missing_segment(
    page: Page, served: Served, log: PrunableLog
) -> None:
    log.prune(10)
    text = verified(page, served, Ed25519Key.from_seed(b"\x08" * 32).to_vkey(ORIGIN))
    assert "missing-segment" in text
    assert "no trusted key signed their removal" in text


@once
def test_a_removal_that_no_key_proves_makes_nobody_forget_what_was_seen(
    page: Page, served: Served, log: PrunableLog
) -> None:
    log.prune(10)
    log.sign()
    assert last_removed(log) > 50
    page.goto(f"{served.address}/help")
    page.evaluate(
        "(seen) => localStorage.setItem('audit_emit.seen:', JSON.stringify(seen))",
        {"chain": json.loads(log.lines[0])["chain"], "size": 50, "root": "0" * 64},
    )
    assert "what this browser saw before is gone" in verified(page, served, "")
    assert "The log holds. Signed by the pinned key" in verified(page, served, VKEY)


@once
def test_more_is_gone_than_was_removed(page: Page, served: Served, log: PrunableLog) -> None:
    log.prune(10)
    log.segments()[0].unlink()
    assert "missing-segment" in verified(page, served, VKEY)


@once
def test_a_removal_that_was_changed_is_none(page: Page, served: Served, log: PrunableLog) -> None:
    log.prune(10)
    lines, before = [], ""
    for line in log.active.read_bytes().splitlines():
        record = json.loads(line)
        changes: dict[str, Any] = {"prev_hash": before} if before else {}
        if record["event_type"] == "audit.pruned":
            changes["fields"] = {**record["fields"], "reason": "nobody \u202elooks"}
        lines.append(rewritten(line, **changes) if changes else line)
        before = json.loads(lines[-1])["hash"]
    log.active.write_bytes(b"".join(line + b"\n" for line in lines))
    assert "missing-segment" in verified(page, served, VKEY)
    text = verified(page, served, "")
    assert "(nobody \\u{202e}looks). Its signature was not checked" in text


@once
def test_a_removal_that_was_interrupted_is_one(
    page: Page, served: Served, log: PrunableLog
) -> None:
    segments = {path: path.read_bytes() for path in log.segments()}
    log.prune(10)
    log.sign()
    *_, newest = [path for path in segments if not path.exists()]
    newest.write_bytes(segments[newest])
    text = verified(page, served, VKEY)
    assert "The log holds. Signed by the pinned key" in text


@once
def test_the_proof_of_a_record_is_checked_without_the_log(
    page: Page, served: Served, log: PrunableLog, tmp_path: Path
) -> None:
    """At every shape of a path: at both ends of the tree, and where its last subtrees are small."""
    chain = json.loads(log.lines[0])["chain"]
    page.goto(f"{served.address}/verify")
    page.get_by_label("Verifier key").fill(VKEY)
    for seq in (1, 2, 257, 499, 500):
        proof = tmp_path / f"{seq}.json"
        proof.write_bytes(open_log(str(log.path), keys=[VKEY]).prove(seq).to_bytes())
        assert checked(page, proof) == (
            f"Record {seq} of chain {chain} is in the log that the pinned key signed."
        )
    good = json.loads(proof.read_bytes())
    wrong: dict[str, dict[str, Any]] = {
        "did not sign": {"checkpoint": {**good["checkpoint"], "signature": "A" * 86 + "=="}},
        "not in the tree": {"inclusion_proof": good["inclusion_proof"][1:]},
        "of this place": {"leaf_index": 1},
        "that it states": {"record": good["record"].replace('"v":1', '"v":2')},
        "no proof file": {"v": 2},
    }
    for why, changes in wrong.items():
        proof.write_text(json.dumps({**good, **changes}))
        assert why in checked(page, proof)


@once
def test_the_time_of_a_proof_is_only_what_its_checkpoint_says(
    page: Page, served: Served, log: PrunableLog, tmp_path: Path
) -> None:
    page.goto(f"{served.address}/verify")
    page.get_by_label("Verifier key").fill(VKEY)
    proof, found = tmp_path / "proof.json", open_log(str(log.path), keys=[VKEY]).prove(7)
    good = json.loads(found.to_bytes())
    times = {
        "2001-01-01T00:00:00Z": "that time is not checked here.",
        "2001, as all know": "signed.",
    }
    for at, end in times.items():
        proof.write_text(json.dumps({**good, "checkpoint": {**good["checkpoint"], "at": at}}))
        text = checked(page, proof, whole=True)
        assert "is in the log that the pinned key signed." in text
        assert text.endswith(end)


def checked(page: Page, proof: Path, *, whole: bool = False) -> str:
    page.get_by_label("Proof").set_input_files(proof)
    page.get_by_role("button", name="Check the proof").click()
    said = page.locator("#proved .verdict")
    expect(said).to_be_visible()
    text = said.inner_text()
    page.evaluate("document.getElementById('proved').replaceChildren()")
    return text if whole else text.partition(" The checkpoint")[0]


@once
def test_the_page_of_a_record_leads_to_its_proof(
    page: Page, served: Served, log: PrunableLog
) -> None:
    verified(page, served, VKEY)
    chain = json.loads(log.lines[0])["chain"]
    page.goto(f"{served.address}/event/{chain}:7")
    page.get_by_role("link", name="Check it in your browser").click()
    expect(page.locator("#proved")).to_contain_text(f"Record 7 of chain {chain} is in the log")
