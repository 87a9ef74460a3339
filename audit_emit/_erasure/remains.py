"""What an erasure does not reach: what stands in plain in the records of a person.

One pass, in constant memory. It tells places and numbers, never the values.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from audit_emit._erasure.erase import Progress
from audit_emit._format.line_splitter import split_lines
from audit_emit._format.record import parsed
from audit_emit._readers.base import LogReader
from audit_emit._readers.whole_lines import whole_lines_of
from audit_emit._subjects.sealed import PREFIX, SEALED, pointer_to
from audit_emit._subjects.store import Tombstone

__all__ = ["Found", "Remains", "find_remains"]

MOST_PLACES = 256
"""Places that are told apart; all others count as one."""

_ELSEWHERE = "(other places)"
_PATHS = re.compile(r"(?:^|_)(?:path|url|uri|link|referrer|referer|route|query|file|filename)$")
_MAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+\.[^@\s]{2,}")
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{3,45}")
_MEMBERS = ("workspace_id", "user_id", "correlation_id", "trace_id", "span_id")

ID, TEXT, CORRELATION, PATH, ADDRESS = "id", "text", "correlation", "path", "address"


class Found(NamedTuple):
    """One kind of remains at one place of the records.

    Attributes:
        kind: ``id`` (of the person), ``text`` (that was asked for), ``correlation`` (an id that
            joins records), ``path`` or ``address``.
        place: a member of the record, or a JSON pointer below ``fields`` with ``*`` for numbers.
        records: how many have it; ``first`` and ``last`` are their numbers.
    """

    kind: str
    place: str
    records: int
    first: int
    last: int


class Remains(NamedTuple):
    """What was found.

    Attributes:
        records: how many records are of the person or name them.
        found: the remains, most first.
    """

    records: int
    found: list[Found]


def find_remains(
    reader: LogReader,
    subject: str,
    found: Tombstone | None,
    texts: Sequence[str] = (),
    progress: Progress | None = None,
) -> Remains:
    """Look through a log.

    Args:
        subject: the id of the person, as it was given to ``Subject`` and as ``user_id``.
        found: the key, or what is left of it: its records are the person's.
        texts: what else names the person, such as an address of e-mail.
    """
    needles = [subject, *texts]
    if found is not None and found.sha256:
        needles += [f"{PREFIX}{found.sha256[:16]}:", found.pseudonym]
    # As in ``_is_in``: an id may have half a character, which a record has as an escape.
    sought = [needle.encode("utf-8", "surrogatepass") for needle in needles if needle]
    count, done = 0, 0
    places: dict[tuple[str, str], tuple[int, int, int]] = {}
    for block in whole_lines_of(reader.blocks()):
        done += len(block)
        # What an encoder has escaped is looked for in the values themselves: CORP\alice, for one.
        if any(needle in block for needle in sought) or b"\\" in block:
            for line in split_lines(block):
                is_seen = any(needle in line for needle in sought)
                record = parsed(line) if is_seen or b"\\" in line else None
                if record is None or not (is_seen or _is_in(record, sought)):
                    continue
                count += 1
                seq = record.get("seq")
                _note(places, set(_plain(record, subject, texts)), seq if type(seq) is int else 0)
        if progress is not None:
            progress(done, max(reader.size, done))
    told = [Found(*key, *numbers) for key, numbers in places.items()]
    return Remains(count, sorted(told, key=lambda one: -one.records))


def _is_in(record: dict[str, Any], sought: Sequence[bytes]) -> bool:
    texts = [text.encode("utf-8", "surrogatepass") for _, text in _texts(record)]
    return any(needle in text for needle in sought for text in texts)


def _note(
    places: dict[tuple[str, str], tuple[int, int, int]], seen: set[tuple[str, str]], seq: int
) -> None:
    for kind, place in seen:
        key = (kind, place)
        if key not in places and len(places) >= MOST_PLACES:
            key = (kind, _ELSEWHERE)
        records, first, _ = places.get(key, (0, seq, seq))
        places[key] = (records + 1, first, seq)


def _plain(record: dict[str, Any], subject: str, texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What of a person's record stands in plain: kinds and places."""
    for place, text in _texts(record):
        if SEALED.fullmatch(text):
            continue
        if subject in text:
            yield ID, place
        if any(one in text for one in texts):
            yield TEXT, place
        if place == "correlation_id" and text:
            yield CORRELATION, place
        name = place.rpartition("/")[2]
        if "/" in place and _PATHS.search(name.lower()):
            yield PATH, place
        if _MAIL.fullmatch(text) or _is_address(text):
            yield ADDRESS, place


def _is_address(text: str) -> bool:
    if not _ADDRESS.fullmatch(text):
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _texts(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The texts and numbers of a record, each with its place."""
    for name in _MEMBERS:
        if isinstance(record.get(name), str):
            yield name, record[name]
    todo: list[tuple[tuple[str, ...], Any]] = [((), record.get("fields"))]
    while todo:
        steps, value = todo.pop()
        if isinstance(value, dict):
            todo += [((*steps, name), one) for name, one in value.items()]
        elif isinstance(value, list):
            todo += [((*steps, "*"), one) for one in value]
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            yield pointer_to(*steps), str(value)
