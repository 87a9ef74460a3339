"""A report on a chain in PostgreSQL."""

from __future__ import annotations

import json

import pytest
from support.postgres_records import draft
from support.postgres_server import Database

from audit_emit._settings.address import Address
from audit_emit._stores.postgres.chains import Chains
from audit_emit.cli import main
from audit_emit.cli._exit import Exit


def test_a_chain_in_a_database_is_reported_as_files_are(
    audited: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    chains = Chains(Address(audited.as_user("the_writer")), service="shop")
    chains.append([draft(text=f"t{number}") for number in range(7)])
    chains.close()
    address = audited.as_user("the_reader")
    assert main(["report", address, "--days", "20000", "--json", "--no-anomalies"]) == Exit.OK
    found = json.loads(capsys.readouterr().out)
    figure = found["summary"]["rows"][0]
    assert figure["cells"] == ["Records", 7]
    assert (found["verdict"]["seq"], found["service"]) == (7, "shop")
    assert "--total" in figure["query"]
