"""Records as rows: what is copied out of a line, and how many rows reach the function at once."""

from __future__ import annotations

import random
import re

import psycopg
import pytest
from support.postgres_records import draft, drafts
from support.postgres_server import Database

from audit_emit._settings.address import Address
from audit_emit._stores.postgres.chains import Chains
from audit_emit._stores.postgres.rows import APPEND, Row, UnlinkedRow, arguments, link, project

CONTROLS = "".join(map(chr, range(1, 32))) + "\\N"


@pytest.mark.parametrize(
    "rows",
    [
        [draft(user="", workspace="", correlation="")],
        drafts(3, user=""),
        [draft(user=CONTROLS), draft(user="\x1e"), draft(user="\x1d"), draft(user="")],
        [draft(correlation="\u20ac" * 3000), draft(workspace="\0"), draft(user='{,"}')],
    ],
    ids=["one that is empty", "several that are empty", "separators", "unusual"],
)
def test_copies_arrive_as_they_are(audited: Database, rows: list[str]) -> None:
    writer = Chains(Address(audited.url), service="shop")
    linked = writer.append(rows)
    writer.close()
    there = audited.run(
        "SELECT id::text, ts, event_type, workspace_id, user_id, correlation_id "
        "FROM audit_emit.records ORDER BY seq"
    )
    assert there == [tuple(project(one.line.decode())) for one in linked]


def test_what_is_missing_in_a_line_is_null(audited: Database) -> None:
    writer = Chains(Address(audited.url), service="shop")
    head = writer.head()
    writer.close()
    lines = ['{"ts":"a","event_type":1', r'{"id":"\u001d","user_id":"\u001d"', '{"user_id":null']
    rows: list[Row] = link([UnlinkedRow.of(one) for one in lines], head)
    with psycopg.connect(audited.as_user("the_writer"), autocommit=True) as connection:
        connection.execute(APPEND, arguments(head, rows, is_async=False))
    assert audited.run("SELECT id, event_type, user_id FROM audit_emit.records ORDER BY seq") == [
        (None, "", None),
        (None, "", "\x1d"),
        (None, "", None),
    ]


@pytest.mark.parametrize("first", [0x4E00, 0x20000])
def test_a_copy_that_no_index_could_take_keeps_no_record_from_its_table(
    audited: Database, first: int
) -> None:
    pick = random.Random(0)  # what can be packed, an index takes
    text = "".join(chr(first + pick.randrange(20_000)) for _ in range(1024))
    writer = Chains(Address(audited.url), service="shop")
    (one,) = writer.append([draft("a.b", user=text, workspace=text, correlation=text)])
    writer.close()
    there = audited.run("SELECT user_id, workspace_id, correlation_id FROM audit_emit.records")
    copies = project(one.line.decode())
    assert there == [(copies.user_id, copies.workspace_id, copies.correlation_id)]
    assert text.startswith(str(copies.user_id)[:600])


@pytest.mark.parametrize(
    ("user", "copy"),
    [("u" * 1024, "u" * 1024), ("u" * 1025, "u" * 1024), ("a\0b", "a\ufffdb")],
    ids=["the longest", "longer", "a NUL"],
)
def test_a_copy_is_what_an_index_takes(user: str, copy: str) -> None:
    assert project(draft(user=user) + "}").user_id == copy


def test_two_uuids_are_no_uuid() -> None:
    line = re.sub('"id":"([^"]*)"', r'"id":"\1\\n\1"', draft()) + "}"
    assert project(line).id is None


@pytest.mark.parametrize(
    "texts",
    [
        [],
        drafts(3),
        [*drafts(2), draft(user="u" * 1025)],
        [draft(text="t" * 2000), draft(user="Zoë")],
        [draft(), draft().replace("019ed0b1-", "019ED0B1-")],
        [draft(), draft(user="\0"), "{"],
        [draft().replace('"user_id":"u-17"', '"user_id":null'), draft() + "\n"],
        [draft() + "}\n{" + draft()[1:]],
        ['{"fields":{', "," + draft()[1:], draft(user="mallory") + "}" + draft(), draft()],
    ],
    ids=[
        *("none", "usual", "a long one", "long lines", "no UUID", "broken", "null", "two in one"),
        "one in two",
    ],
)
def test_many_texts_have_the_copies_that_each_has(texts: list[str]) -> None:
    assert UnlinkedRow.each(texts) == [UnlinkedRow.of(text) for text in texts]
