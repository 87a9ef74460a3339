"""``audit-emit prove RECEIPT``, and ``verify-proof --receipt``."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attested_log import AttestedLog
from support.chain_builder import MadeChain, altered

from audit_emit._format.record import head_of
from audit_emit.cli import main
from audit_emit.cli._exit import Exit


class Place:
    """A signed log, its verifier key, and where a proof goes."""

    def __init__(self, directory: Path) -> None:
        self.run = AttestedLog(directory / "log")
        self.file = self.run.directory / "audit.jsonl"
        self.vkey = directory / "vkey"
        self.vkey.write_text(self.run.key.to_vkey("audit.example.com/shop"))
        self.proof = directory / "record.proof"

    def receipt(self, seq: int) -> str:
        head = head_of(self.run.lines[seq - 1])
        assert head is not None
        return f"{head.chain}:{head.seq}:{head.hash}"

    def prove(self, receipt: str) -> int:
        return main(["prove", receipt, str(self.run.directory), "--out", str(self.proof)])

    def verify(self, *options: str) -> int:
        return main(["verify-proof", str(self.proof), "--key", str(self.vkey), *options])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_record_of_a_receipt_is_proved_and_checked_without_the_log(place: Place) -> None:
    assert place.prove(place.receipt(5)) == Exit.OK
    place.file.unlink()
    assert place.verify() == Exit.OK
    assert place.verify("--receipt", place.receipt(5)) == Exit.OK
    assert place.verify("--receipt", place.receipt(6)) == Exit.FINDINGS


def test_before_a_checkpoint_covers_it_the_answer_is_not_yet(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.run.call("success")
    place.run.chain.write(place.file)
    assert place.prove(place.receipt(9)) == Exit.INCOMPLETE
    assert "ask again" in capsys.readouterr().err
    place.run.write()
    assert place.prove(place.receipt(9)) == Exit.OK


def test_a_log_that_has_another_record_there_is_a_finding(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.prove(place.receipt(5)[:-1] + "x") == Exit.USAGE
    forged = place.receipt(5)[:-4] + "0000"
    assert place.prove(forged) == Exit.FINDINGS
    assert "not the one that the receipt names" in capsys.readouterr().err
    lines = list(place.run.lines)
    lines[4] = altered(lines[4])  # with the hash that it had
    place.file.write_bytes(b"".join(line + b"\n" for line in lines))
    assert place.prove(place.receipt(5)) == Exit.FINDINGS


def test_a_log_that_ends_before_it_is_a_finding(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = place.receipt(8)
    place.run.chain.write(place.file, last=7)
    assert place.prove(receipt) == Exit.FINDINGS
    assert "ends at 7" in capsys.readouterr().err


def test_another_log_has_no_such_record(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = place.receipt(5)
    other = MadeChain("00d1c0ffee00bee0").add(9).write(tmp_path / "other" / "audit.jsonl")
    assert main(["prove", receipt, str(other)]) == Exit.NOTHING
    assert main(["prove", receipt, str(other), str(place.run.directory)]) == Exit.OK
    assert "chain" in capsys.readouterr().err


def test_a_receipt_is_no_other_word(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.prove(place.receipt(5)) == Exit.OK
    assert place.verify("--receipt", "5") == Exit.USAGE
    assert "CHAIN:SEQ:HASH" in capsys.readouterr().err
