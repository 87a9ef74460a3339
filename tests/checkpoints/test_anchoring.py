"""A checkpoint goes to places outside, and what they keep is held against the log."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from support import requirements
from support.http_served import serving
from support.prunable_log import PrunableLog
from support.timestamp_authority import Authority
from support.timestamp_authority import answering as stamping
from support.witnesses import RING, WitnessedLog

from audit_emit._checkpoints.anchoring import Anchors, notes_in, places, stamped_by
from audit_emit._checkpoints.outside import standing_of
from audit_emit._format.signed_note import Note
from audit_emit._runtime.http_server import Answer, Request
from audit_emit._verify.findings import Kind
from audit_emit.errors import ConfigError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> WitnessedLog:
    return WitnessedLog(tmp_path_factory.mktemp("made") / "log", 200)


@pytest.fixture
def log(made: WitnessedLog, tmp_path: Path) -> PrunableLog:
    return made.copy(tmp_path / "log")


def brought(log: PrunableLog, made: WitnessedLog, *where: str) -> dict[str, str]:
    return Anchors(str(log.path), where).bring(made.newest)


def test_a_file_keeps_each_checkpoint_once(
    log: PrunableLog, made: WitnessedLog, tmp_path: Path
) -> None:
    kept = tmp_path / "elsewhere.jsonl"
    assert brought(log, made, f"file:{kept}") == {f"file:{kept}": ""}
    assert brought(log, made, f"file:{kept}") == {}, "it has it"
    (one,) = notes_in(kept.read_bytes())
    assert Note.from_bytes(one.note.encode()).check(RING) == "ok"
    assert one.size == 200
    told = standing_of(str(log.path))
    assert (told["anchored_seq"], told["anchored_at"]) == (200, one.at)
    assert told["unnoticed"] == "who has the key can write another past after record 200, unnoticed"


def test_a_program_gets_the_note_on_its_standard_input(
    log: PrunableLog, made: WitnessedLog, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program, out = tmp_path / "publish", tmp_path / "out"
    program.write_text(f"#!/bin/sh\ncat > {out}\necho out; echo error >&2\n")
    program.chmod(0o700)
    assert brought(log, made, f"exec:{program}") == {f"exec:{program}": ""}
    assert out.read_bytes() == made.newest.to_note(cosigned=True).to_bytes()
    assert capfd.readouterr() == ("", ""), "what it says goes nowhere"
    program.write_text("#!/bin/sh\nexit 3\n")
    (log.path / "anchors.jsonl").unlink()
    assert brought(log, made, f"exec:{program}") == {f"exec:{program}": "it ended with status 3"}
    assert not (log.path / "anchors.jsonl").exists()


def test_a_program_gets_none_of_our_settings(
    log: PrunableLog, made: WitnessedLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_SIGNING_KEY", "ab" * 32)
    monkeypatch.setenv("PUBLISH_TO", "elsewhere")
    program, out = tmp_path / "publish", tmp_path / "out"
    program.write_text(f"#!/bin/sh\nenv > {out}\n")
    program.chmod(0o700)
    brought(log, made, f"exec:{program}")
    assert "PUBLISH_TO=elsewhere" in out.read_text()
    assert "AUDIT_EMIT_" not in out.read_text()


def test_an_address_gets_it_and_a_refusal_is_told(log: PrunableLog, made: WitnessedLog) -> None:
    seen: list[Request] = []

    def respond(request: Request) -> Answer:
        seen.append(request)
        return Answer(201 if request.path == "/good" else 503, b"")

    with serving(respond, most=1 << 16) as server:
        good, bad = f"{server.url}/good", f"{server.url}/bad"
        assert brought(log, made, good, bad) == {good: "", bad: "it answered 503"}
    assert seen[0].body == made.newest.to_note(cosigned=True).to_bytes()


def test_a_timestamp_authority_stamps_it_and_verify_wants_that(
    log: PrunableLog, made: WitnessedLog, tmp_path: Path
) -> None:
    requirements.package("rfc3161-client", "rfc3161_client")
    for name in ("tsa", "other"):
        (tmp_path / name).mkdir()
    authority, other = Authority(tmp_path / "tsa"), Authority(tmp_path / "other")
    with stamping(authority) as url:
        assert brought(log, made, f"tsa:{url}") == {f"tsa:{url}": ""}
    kept = notes_in((log.path / "anchors.jsonl").read_bytes())
    stamped = stamped_by(authority.root)
    report = log.verify(anchors=kept, stamped=stamped, anchor_required=False)
    assert (report.exit_status, report.outside_seq) == (0, 200)
    assert abs(report.outside_time - kept[0].at) < 600
    stranger = log.verify(anchors=kept, stamped=stamped_by(other.root), anchor_required=False)
    assert stranger.counts == {Kind.NOT_ANCHORED: 1}
    token = bytearray(base64.b64decode(kept[0].token))
    token[-1] ^= 1
    assert stamped(bytes(token), kept[0].note.encode()) is None
    assert stamped(base64.b64decode(kept[0].token), b"another note") is None


def test_an_answer_to_another_question_or_by_an_authority_that_ended_is_no_stamp(
    log: PrunableLog, made: WitnessedLog, tmp_path: Path
) -> None:
    requirements.package("rfc3161-client", "rfc3161_client")
    for name in ("tsa", "ended"):
        (tmp_path / name).mkdir()
    authority, ended = Authority(tmp_path / "tsa"), Authority(tmp_path / "ended", days=-1)
    kept: list[bytes] = []

    def again(request: Request) -> Answer:
        kept.append(authority.stamp(request.body) if not kept else kept[0])
        return Answer(200, kept[0])

    with serving(again, most=1 << 16) as server:
        place = f"tsa:{server.url}"
        assert brought(log, made, place) == {place: ""}
        (log.path / "anchors.jsonl").unlink()
        assert brought(log, made, place) == {place: "it stamped nothing (status 0)"}
    refused = b"\x30\x05\x30\x03\x02\x01\x02"
    with serving(lambda _: Answer(200, refused), most=1 << 16) as server:
        place = f"tsa:{server.url}"
        assert brought(log, made, place)[place]
    with stamping(ended) as url:
        assert brought(log, made, f"tsa:{url}") == {f"tsa:{url}": ""}
    (one,) = notes_in((log.path / "anchors.jsonl").read_bytes())
    assert stamped_by(ended.root)(base64.b64decode(one.token), one.note.encode()) is None


class TestVerify:
    @pytest.fixture
    def kept(self, log: PrunableLog, made: WitnessedLog, tmp_path: Path) -> Path:
        brought(log, made, f"file:{tmp_path / 'kept'}")
        return tmp_path / "kept"

    def test_what_was_kept_is_in_the_log(self, log: PrunableLog, kept: Path) -> None:
        report = log.verify(anchors=notes_in(kept.read_bytes()), anchor_required=False)
        assert (report.exit_status, report.outside_seq, report.outside_time) == (0, 200, 0)

    def test_one_note_is_enough(self, log: PrunableLog, made: WitnessedLog) -> None:
        note = made.newest.to_note().to_bytes()
        assert log.verify(anchors=notes_in(note), anchor_required=False).outside_seq == 200

    def test_who_has_the_key_cannot_write_another_past(self, kept: Path, tmp_path: Path) -> None:
        other = PrunableLog(tmp_path / "other", records=200, part=100, ring=RING)
        assert other.verify(anchor_required=False).exit_status == 0
        report = other.verify(anchors=notes_in(kept.read_bytes()), anchor_required=False)
        assert report.counts == {Kind.CHECKPOINT_ROOT_MISMATCH: 1}

    def test_nor_set_the_log_back(self, kept: Path, tmp_path: Path) -> None:
        other = PrunableLog(tmp_path / "other", records=100, part=100, ring=RING)
        report = other.verify(anchors=notes_in(kept.read_bytes()), anchor_required=False)
        assert report.counts == {Kind.TRUNCATED: 1}

    @pytest.mark.parametrize("data", [b"", b"\xff" * 9, b'{"v":1}\n', b"[" * 5000])
    def test_a_file_with_nothing_of_the_log_is_told(self, log: PrunableLog, data: bytes) -> None:
        report = log.verify(anchors=notes_in(data), anchor_required=False)
        assert report.counts == {Kind.NOT_ANCHORED: 1}

    def test_a_note_that_was_changed_counts_for_nothing(self, log: PrunableLog, kept: Path) -> None:
        line = json.loads(kept.read_bytes())
        line["note"] = line["note"].replace("\n200\n", "\n199\n")
        report = log.verify(anchors=notes_in(json.dumps(line).encode()), anchor_required=False)
        assert report.counts == {Kind.NOT_ANCHORED: 1}


@pytest.mark.parametrize(
    "text", ["file:x", "exec:ls", "ftp://x", "s3:", "tsa:x", "https://u:p@x", "x"]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="anchors"):
        places({"AUDIT_EMIT_ANCHORS": text})


def test_several_places_are_named_with_spaces_between_them() -> None:
    text = "file:/a https://b/c  tsa:http://d\ns3://e/f exec:/g"
    assert len(places({"AUDIT_EMIT_ANCHORS": text})) == 5
    assert places({}) == ()
