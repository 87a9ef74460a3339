"""What is odd, reported and exported of an archived log is what its files say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.archived_log import KEY, ORIGIN, SignedLog
from support.object_store import Store

from audit_emit._signing.trusted_keys import Ed25519Key
from audit_emit.cli import main
from audit_emit.cli._exit import Exit


@pytest.fixture
def half(tmp_path: Path, store: Store) -> Iterator[SignedLog]:
    """Somebody reads all secrets in it; ``whole`` beside it is a copy, the first is archived."""
    made = SignedLog(tmp_path / "log")
    for number in range(20):
        made.emitter.emit({"user_id": "u"}, "secret.read", {"key": f"K{number}"})
    made.add(150)
    made.archive(store)
    made.sign()
    shutil.copytree(made.directory, tmp_path / "whole")
    made.closed()[0].unlink()
    yield made
    made.close()


def test_an_archived_log_is_looked_through_reported_and_exported_as_its_files_are(
    half: SignedLog,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    assert isinstance(KEY, Ed25519Key)
    whole, archive = tmp_path / "whole", f"s3://{store.name}/audit"
    places = ([str(whole)], [str(half.directory), archive])

    def said(status: Exit, *words: str) -> list[bytes]:
        found = []
        for place in places:
            assert main([*words, *place]) == status
            found.append(capsysbinary.readouterr().out)
        return found

    key = ("--key", KEY.to_vkey(ORIGIN), "--json")
    alerts = [json.loads(one)["alerts"] for one in said(Exit.FINDINGS, "anomalies", *key)]
    ids = [[(alert["rule"], alert["id"]) for alert in one] for one in alerts]
    assert ids[0] == ids[1]
    assert [rule for rule, _ in ids[0]] == ["secret_mass_read"]
    period = ("--since", "2020-01-01", "--until", "2100-01-01")  # not up to now, which goes on
    reports = [json.loads(one) for one in said(Exit.OK, "report", *key, *period)]
    figures = [[row["cells"] for row in one["summary"]["rows"]] for one in reports]
    assert figures[0] == figures[1]
    assert int(figures[0][0][1]) > 150
    assert [one["verdict"]["verdict"] for one in reports] == ["ok", "ok"]
    for form in ("jsonl", "ocsf", "ecs", "cloudevents", "otel", "csv"):
        files, joined = said(Exit.OK, "export", "--format", form)
        assert files == joined
        assert files
    declared = tmp_path / "schemas"
    declared.mkdir()
    for event_type in ("secret.read", "secret.set"):
        (declared / f"{event_type}.json").write_text("{}")
    said(Exit.OK, "schema", "check", "--schemas", str(declared))
    out = tmp_path / "out"
    assert main(["export", archive, "--resume", "--out", str(out)]) == Exit.OK
    written = b"".join(path.read_bytes() for path in sorted(whole.glob("audit-*.jsonl")))
    assert out.read_bytes()
    assert written.startswith(out.read_bytes())
    assert main(["export", archive, "--follow"]) == Exit.USAGE
