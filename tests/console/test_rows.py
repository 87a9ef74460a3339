"""The console over a chain in PostgreSQL."""

from __future__ import annotations

import json

import pytest
from support.console_client import client, console
from support.postgres_records import draft
from support.postgres_server import Database

from audit_emit._query.question import Question
from audit_emit._settings.address import Address
from audit_emit._stores.postgres.chains import Chains
from audit_emit.console.paging import Cursor, page_of

MANY = 40


@pytest.fixture
def address(audited: Database) -> str:
    """A chain of 40 records, to be read."""
    chains = Chains(Address(audited.as_user("the_writer")), service="shop")
    chains.append([draft(text=f"t{number}") for number in range(MANY)])
    chains.close()
    return audited.as_user("the_reader")


def seqs(lines: list[bytes]) -> list[int]:
    return [json.loads(line)["seq"] for line in lines]


def test_all_pages_together_are_the_chain(address: str) -> None:
    seen: list[int] = []
    after: Cursor | None = Cursor(0)
    while after is not None:
        page = page_of([address], Question(), 7, after if after.seq else None)
        seen += seqs(page.lines)
        after = page.next
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen)) >= MANY


def test_a_filter_is_asked_of_the_database(address: str) -> None:
    found = page_of([address], Question(types=("audit.started",)), 7).lines
    assert all(json.loads(line)["event_type"] == "audit.started" for line in found)


def test_its_pages_are_shown(address: str) -> None:
    asked = client(console(address))
    for path in ("/", "/integrity", "/checkpoints", "/settings"):
        answer = asked.get(path)
        assert answer.status_code == 200, path
        assert "the_reader:" not in answer.text
