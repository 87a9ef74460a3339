"""Anomalies of a chain in PostgreSQL: found as in files, and recorded in the chain."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.postgres_server import Database
from support.waiting import PATIENCE

from audit_emit import Emitter, open_log
from audit_emit._detection.following import Follower, How
from audit_emit._detection.loading import built_in
from audit_emit._detection.sinks import Records
from audit_emit._detection.state import StateFile
from audit_emit._readers.opening import open_reader
from audit_emit.cli import main
from audit_emit.cli._exit import Exit
from audit_emit.cli._recording import recorder


def test_a_chain_in_a_database_is_searched_and_gets_the_alerts(
    audited: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = audited.as_user("the_writer")
    emitter = Emitter(service="shop", store=where, jsonl="off", stdout=False)
    for number in range(20):
        emitter.emit({"user_id": "u"}, "secret.read", {"key": f"K{number}"})
    assert emitter.flush(PATIENCE)
    emitter.close()
    assert main(["anomalies", where, "--json"]) == Exit.FINDINGS
    (alert,) = json.loads(capsys.readouterr().out)["alerts"]
    assert (alert["rule"], len(alert["seqs"])) == ("secret_mass_read", 20)
    with ExitStack() as stack, StateFile(tmp_path / "state") as file:
        record = recorder(where, stack)
        follower = Follower(
            lambda: open_reader(where),
            built_in(),
            file,
            lambda known: [Records(record, known)],
            How("", None, 3600, print),
        )
        assert [one.id for one in follower.round()] == [alert["id"]]
        assert follower.round() == []
    (written,) = open_log(where).query("audit.anomaly")
    assert written["fields"]["id"] == alert["id"]
    assert main(["verify", where]) == Exit.OK
