"""Exports of a chain in PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.postgres_records import draft
from support.postgres_server import Database

from audit_emit._settings.address import Address
from audit_emit._stores.postgres.chains import Chains
from audit_emit.cli import main
from audit_emit.cli._exit import Exit


def test_a_chain_in_a_database_is_exported_and_goes_on_where_it_ended(
    audited: Database, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    chains = Chains(Address(audited.as_user("the_writer")), service="shop")
    chains.append([draft(text=f"t{number}") for number in range(7)])
    where, out = audited.as_user("the_reader"), tmp_path / "out"
    resumed = ["export", where, "--format", "ecs", "--resume", "--out", str(out)]
    assert main(resumed) == Exit.OK
    chains.append([draft(text=f"t{number}") for number in range(7, 9)])
    chains.close()
    assert main(resumed) == Exit.OK
    capsysbinary.readouterr()
    for form in ("jsonl", "ocsf", "ecs", "cloudevents", "otel", "csv"):
        assert main(["export", where, "--format", form]) == Exit.OK
        events = capsysbinary.readouterr().out
        assert events.count(b"\n") == 9 + (form == "csv")
        if form == "ecs":
            assert events == out.read_bytes()
    declared = tmp_path / "schemas"
    declared.mkdir()
    (declared / "x.y.json").write_text("{}")
    assert main(["schema", "check", where, "--schemas", str(declared)]) == Exit.FINDINGS
    assert b"not declared" in capsysbinary.readouterr().err
    seqs = [json.loads(line)["event"]["sequence"] for line in out.read_bytes().splitlines()]
    assert seqs == list(range(1, 10))
