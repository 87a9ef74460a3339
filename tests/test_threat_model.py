"""What docs/threat-model.md says still holds is done, and its commands end as it says."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from support.chain_builder import CHAIN, MadeChain

from audit_emit._attestation.attest import attest
from audit_emit._attestation.segment import Wanted
from audit_emit._checkpoints.checkpointer import Checkpointer
from audit_emit._checkpoints.new_leaves import GrowingTree, Position
from audit_emit._checkpoints.witnessing.kept import Cosigned, Kept
from audit_emit._format.checkpoint import sign
from audit_emit._format.cosignature import cosign
from audit_emit._format.proof_file import Evidence
from audit_emit._format.record import head_of
from audit_emit._format.signed_note import Note
from audit_emit._readers.opening import open_reader
from audit_emit._signing.cosigners import Cosigner
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing, private_pem
from audit_emit.cli import main
from audit_emit.log import open_log

PAGE = Path(__file__).parent.parent / "docs" / "threat-model.md"
ORIGIN = "audit.example.com/shop"
SEED, NEW_SEED = bytes(range(32)), bytes(range(1, 33))
KEY, NEW_KEY = Ed25519Key.from_seed(SEED), Ed25519Key.from_seed(NEW_SEED)
WITNESSES = [
    Cosigner.of_pair(f"w{n}.example.com", Ed25519Key.from_seed(bytes([n]) * 32)) for n in (1, 2)
]
AT = "2026-05-20T00:00:00.000000000Z"

SHOWN = re.compile(r"^    (audit-emit .*?) +# ([0-9]): .*$", re.MULTILINE)


def shown(heading: str) -> list[tuple[str, int]]:
    """The commands below a heading, each with the status that it is said to have."""
    text = PAGE.read_text("utf-8").partition(f"### {heading}\n")[2]
    found = SHOWN.findall(re.split(r"^##", text, maxsplit=1, flags=re.MULTILINE)[0])
    return [(command, int(status)) for command, status in found]


class Town:
    """A signed log with all that others keep of it, in the working directory.

    Attributes:
        names: what stands in the commands for what differs each time.
    """

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.log = Path("shop")
        self.chain = MadeChain().add(20)
        self.sign(self.log, self.chain, KEY, state="signer.state")
        Path("verifier.txt").write_text(KEY.to_vkey(ORIGIN))
        Path("new-verifier.txt").write_text(NEW_KEY.to_vkey(ORIGIN))
        Path("signing.pem").touch(0o600)
        Path("signing.pem").write_text(private_pem(SEED))
        assert self.run("audit-emit verify shop --key verifier.txt --remember memory.json") == 0
        head = head_of(self.chain.lines[11])
        assert head is not None
        self.names = {"HASH": head.hash, "RECEIPT": f"{CHAIN}:12:{head.hash}"}
        Path("run.att.json").write_bytes(self.attested(self.log))
        for number, key in enumerate(WITNESSES, 1):
            Path(f"w{number}.vkey").write_text(key.to_vkey())
            self.cosign(self.log, key)
        both = [f"{key.to_vkey()}\n" for key in WITNESSES]
        Path("both.vkey").write_text("".join(both))

    def sign(self, log: Path, chain: MadeChain, key: Ed25519Key, state: str = "") -> None:
        chain.write(log / "audit.jsonl")
        signer = Checkpointer(
            str(log.absolute() / "audit.jsonl"),
            KeyRing([key]),
            origin=ORIGIN,
            record=lambda _type, _fields: None,
            state=str(Path(state).absolute()) if state else "",
        )
        assert signer.run("manual") is not None

    def attested(self, log: Path) -> bytes:
        made = attest(lambda: open_reader(str(log)), KeyRing([KEY]), Wanted(5, 15), at=AT)
        return msgspec.json.encode(made.to_dict())

    def cosign(self, log: Path, key: Cosigner) -> None:
        """As a witness does, if it was never asked before or is in league."""
        newest = open_log(log, keys=["verifier.txt"]).checkpoint()
        assert newest is not None
        line = str(Note("x\n", (cosign(key, 1_800_000_000, newest.text()),)).to_bytes(), "utf-8")
        made = Cosigned(
            *(1, newest.origin, newest.head_seq, newest.root_hash, 1_800_000_000),
            line.splitlines()[-1],
        )
        Kept(str(log.absolute())).take([made], newest, newest.to_note(cosigned=True))

    def forge(self, log: Path, key: Ed25519Key = KEY) -> None:
        """Another history of the same chain, signed; what witnesses made of the true one stays."""
        for file in (*log.glob("audit.jsonl"), *log.glob("checkpoints.*")):
            file.unlink()
        shutil.rmtree(log / "tile", ignore_errors=True)
        self.sign(log, MadeChain().add(20, event_type="secret.read"), key)

    def run(self, command: str) -> int:
        for name, value in self.names.items():
            command = command.replace(name, value)
        return main(shlex.split(command)[1:])


def operator(town: Town) -> None:
    town.forge(town.log)


def thief_of_the_host(town: Town) -> None:
    """He changes a record and every hash after it, or cuts the end of a copy; he cannot sign."""
    shutil.copytree(town.log, "cut")
    town.chain.write(Path("cut/audit.jsonl"), last=15)
    MadeChain().add(9).add(20, event_type="secret.read").write(town.log / "audit.jsonl")


def thief_of_the_key(town: Town) -> None:
    town.forge(Path("forged"))
    Path("forged.att.json").write_bytes(town.attested(Path("forged")))


def after_the_key_was_replaced(town: Town) -> None:
    """The old key signs once more, over the records that are there: whoever has it can do that."""
    rotate = "--state signer.state --rotate-to new.pem"
    Path("new.pem").touch(0o600)
    Path("new.pem").write_text(private_pem(NEW_SEED))
    assert town.run(f"audit-emit checkpoint shop --key signing.pem {rotate}") == 0
    tree = GrowingTree(Position.genesis())
    tree.feed((town.log / "audit.jsonl").read_bytes(), 0)
    made = sign(
        KEY,
        at=AT,
        origin=f"{ORIGIN}/{CHAIN}",
        chain=CHAIN,
        size=tree.frontier.size,
        head_hash=tree.head,
        root=tree.frontier.root(),
        reason="manual",
    )
    with (town.log / "checkpoints.jsonl").open("ab") as file:
        file.write(made.to_line())


def witness(town: Town) -> None:
    """It signs with its own key under the log's name, and the operator shows another log."""
    evidence = open_log("shop", keys=["verifier.txt"]).prove(12)
    mine = Path("witness-log")
    town.sign(mine, town.chain, NEW_KEY)
    forged = open_log(mine, keys=["new-verifier.txt"]).prove(12).checkpoint
    named = msgspec.structs.replace(forged, key_id=evidence.checkpoint.key_id)
    made: Evidence = msgspec.structs.replace(evidence, checkpoint=named)
    Path("witness.proof").write_bytes(made.to_bytes())
    town.forge(town.log)
    for file in ("cosignatures.jsonl", "checkpoint"):
        (town.log / file).unlink()
    town.cosign(town.log, WITNESSES[0])


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUDIT_EMIT_ORIGIN", ORIGIN)
    return Town()


ATTACKS = [
    ("An operator who lies", slice(None), operator),
    ("A thief of the host", slice(None), thief_of_the_host),
    ("A thief of the key", slice(0, 4), thief_of_the_key),
    ("A witness in league", slice(None), witness),
]


@pytest.mark.parametrize(("heading", "part", "attack"), ATTACKS, ids=lambda one: str(one)[:20])
def test_what_the_page_says_holds(
    town: Town, heading: str, part: slice, attack: Callable[[Town], None]
) -> None:
    attack(town)
    commands = shown(heading)[part]
    assert commands
    assert [(command, town.run(command)) for command, _ in commands] == commands


def test_what_the_page_says_of_a_key_that_was_replaced_holds(town: Town) -> None:
    thief_of_the_key(town)
    after_the_key_was_replaced(town)
    commands = shown("A thief of the key")[4:]
    assert len(commands) == 2
    assert [(command, town.run(command)) for command, _ in commands] == commands
