"""Copies beside lines: what is settled for many rows at once is what is said of each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from support.postgres_records import draft

from audit_emit._format.chain import ZERO
from audit_emit._readers.postgres import copies
from audit_emit._readers.postgres.copies import Columns, differences
from audit_emit._runtime import compiled
from audit_emit._stores.postgres.rows import Head, Row, UnlinkedRow, link

Agree = Callable[[bytes, Columns], bool]
CHAIN = "00ff00ff00ff00ff"


@pytest.fixture(params=["compiled", "interpreted"])
def agree(request: pytest.FixtureRequest) -> Agree:
    if request.param == "interpreted":
        return copies._agree
    if compiled.copied is None:
        pytest.skip("the compiled part is not used here")
    return copies.agree


def rows(*texts: str, before: int = 0) -> list[Row]:
    """Records of a chain that begins after a number."""
    return link(map(UnlinkedRow.of, texts), Head(CHAIN, before, ZERO, ""))


def given(found: list[Row], **changed: Any) -> tuple[bytes, Columns]:
    """Lines of rows, and their columns as the server gives them; of the last row some differ."""
    texts: list[list[str]] = [[], [], [], [], []]
    numbers = ids = hashes = b""
    for at, row in enumerate(found):
        values = {"seq": row.seq, "hash": row.hash, **row.copies._asdict()}
        values |= changed if at == len(found) - 1 else {}
        numbers += values["seq"].to_bytes(8)
        ids += UUID(values["id"]).bytes if values["id"] else b""
        hashes += bytes.fromhex(values["hash"])
        names = ("ts", "event_type", "workspace_id", "user_id", "correlation_id")
        for column, name in zip(texts, names, strict=True):
            column.append("\x1e" if values[name] is None else values[name])
    lines = "".join(row.line for row in found).encode()
    return lines, Columns(numbers, ids, hashes, *("\n".join(one).encode() for one in texts))


USUAL = {
    "the smallest": draft(user="", workspace="", correlation=""),
    "with fields of any depth": draft(
        a={"b": [1, {"c": ["]", "}", '"', "\\", '\\"', {}]}], "v": 1}
    ),
    "with a whole record in a field": draft(inner=draft(user="mallory") + "}"),
    "with a record in its fields": draft(x={"a": 0, "v": 1, "id": "x", "service": "y"}),
    "with letters": draft(user="Zoë", workspace="株式会社"),
    "with a trace": draft() + ',"trace_id":"' + "1" * 32 + '","span_id":"' + "2" * 16 + '"',
}


@pytest.mark.parametrize("what", USUAL)
def test_a_usual_record_agrees_with_its_copies(agree: Agree, what: str) -> None:
    found = rows(draft(), USUAL[what], draft(), before=9_998)
    assert agree(*given(found))
    assert agree(*given(found[:1]))


CHANGED = {
    "seq": 3, "hash": "0" * 64, "id": "019ed0b1-7c00-7000-8000-00000000ffff", "ts": "x",
    "event_type": "secret.get", "workspace_id": None, "user_id": "u-1", "correlation_id": "req-1\n",
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize("many", [1, 2])
def test_a_changed_copy_does_not_agree(agree: Agree, name: str, many: int) -> None:
    found = rows(*[draft()] * many)
    assert agree(*given(found))
    assert not agree(*given(found, **{name: CHANGED[name]}))


def test_texts_cannot_change_places_between_rows_and_columns(agree: Agree) -> None:
    lines, columns = given(rows(draft(user="a"), draft(user="b")))
    assert agree(lines, columns)
    # One row has what both should have, and the other one nothing, which shows as its mark.
    assert not agree(lines, columns._replace(users=b"a\nb\n\x1e"))
    assert not agree(lines, columns._replace(users=b"a"))
    assert not agree(lines, columns._replace(users=b"a\nb\n"))
    assert not agree(lines, columns._replace(users=b"ab\n"))
    assert not agree(lines, columns._replace(hashes=columns.hashes[1:]))
    assert not agree(lines, columns._replace(ids=columns.ids + b"\0"))


def test_the_mark_of_what_is_missing_is_no_text(agree: Agree) -> None:
    found = rows(draft(user="\x1e"))
    assert found[0].copies.user_id == "\x1e"
    assert not agree(*given(found, user_id=None))


@pytest.mark.parametrize(
    ("name", "first", "other"),
    [
        ("user_id", "u-17", "mallory"),
        ("event_type", "secret.set", "secret.get"),
        ("id", f"{UUID(int=1)}", f"{UUID(int=2)}"),
    ],
)
def test_the_last_of_two_members_is_the_one_that_counts(
    agree: Agree, name: str, first: str, other: str
) -> None:
    """As JSON is read everywhere else: the column of the first one would hide the record."""
    text = draft().replace(
        '"fields":{},"v":1,"id":"', f'"fields":{{}},"{name}":"{other}","v":1,"id":"'
    )
    found = rows(text)
    if name != "id":
        assert found[0].copies._asdict()[name] == other
        assert not agree(*given(found, **{name: first}))
    else:
        assert not agree(*given(found, id=other))


def unusual() -> Iterator[str]:
    yield draft(user="a\0b")
    yield draft(user='a"b')
    yield draft(user="ü\n")
    yield draft(user="\ud800")
    yield draft(workspace="w" * 3000)
    yield draft().replace('"user_id":"u-17"', '"user_id":17')
    yield draft().replace(',"user_id":"u-17"', "")
    yield draft().replace("019ed0b1-", "019ED0B1-")
    yield draft().replace('"v":1', '"v":1 ')
    yield draft().replace('"fields":{}', '"fields":{]')


@pytest.mark.parametrize("text", list(unusual()))
def test_of_an_unusual_record_nothing_wrong_is_said(agree: Agree, text: str) -> None:
    """If it agrees at once, then there are no differences; a changed copy never agrees."""
    (row,) = rows(text)
    columns = [row.seq, row.hash, *row.copies]
    assert list(differences(row.line[:-1], columns)) == []
    lines, found = given([row], user_id="mallory")
    assert not agree(lines, found)
    assert any(
        "column user_id" in one for one in differences(row.line[:-1], [*columns[:6], "m", "c"])
    )


@pytest.mark.skipif(compiled.copied is None, reason="the compiled part is not used here")
def test_no_changed_byte_agrees(agree: Agree) -> None:
    """Of the columns; of the line only bytes that no column has, and the blanks of JSON, may be."""
    lines, columns = given(rows(draft(a="b"), draft(a='"}')))
    for at, column in enumerate(columns):
        for place in range(len(column)):
            spoilt = column[:place] + bytes([column[place] ^ 1]) + column[place + 1 :]
            assert not agree(lines, columns._replace(**{Columns._fields[at]: spoilt}))
        for place in range(len(lines)):
            assert compiled.copied is not None
            compiled.copied(lines[:place], *columns)
    assert not agree(b"", columns)
