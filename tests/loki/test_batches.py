"""How records are put into requests, and what Loki's refusals say of them."""

from __future__ import annotations

import pytest
from support.chain_builder import BEGIN, MadeChain

from audit_emit._loki.batches import (
    BATCH_BYTES,
    BATCH_LINES,
    TOO_FAR_BEHIND,
    TOO_LONG,
    TOO_NEW,
    TOO_OLD,
    Bound,
    OutgoingRecord,
    batches,
    bounds_of,
    reason_of,
    reasons_of,
)
from audit_emit._loki.labels import placement_of, time_of
from audit_emit._loki.records import parse_record

STREAM = '{event_type="a.b", job="audit", service="api", service_name="api"}'
OLD = (
    f"1 errors like: entry for stream '{STREAM}' has timestamp too old: 2026-05-13T03:09:14Z, "
    "oldest acceptable timestamp is: 2026-05-14T03:09:14Z; 1 errors like: entry for stream "
    f"'{STREAM}' has timestamp too old: 2026-05-12T03:09:14Z, oldest acceptable timestamp is: "
    "2026-05-14T03:09:14Z\n"
)
BEHIND = (
    "entry with timestamp 2026-05-21 01:09:14.075124542 +0000 UTC ignored, reason: 'entry too far "
    "behind, entry timestamp is: 2026-05-21T01:09:14Z, oldest acceptable timestamp is: "
    f"2026-05-21T02:09:14Z',\nuser 'fake', total ignored: 1 out of 3 for stream: {STREAM}\n"
)
NEW = f"entry for stream '{STREAM}' has timestamp too new: 2026-05-21T04:09:14Z\n"
LONG = (
    f"max entry size '262144' bytes exceeded for stream '{STREAM}' while adding an entry with "
    "length '300000' bytes\n"
)
"""As a real Loki 3.7 says it."""


def outgoing_records(count: int, size: int = 0) -> list[OutgoingRecord]:
    made = []
    for line in MadeChain().add(count, fields={"pad": "x" * size}).lines:
        one, found = parse_record(line), placement_of(line)
        assert one is not None
        assert found is not None
        made.append(OutgoingRecord(one, found))
    return made


@pytest.mark.parametrize(
    ("body", "reason"),
    [(OLD, TOO_OLD), (BEHIND, TOO_FAR_BEHIND), (NEW, TOO_NEW), (LONG, TOO_LONG)],
)
def test_known_reasons(body: str, reason: str) -> None:
    assert reason_of(body) == reason
    assert reasons_of(body) == [reason]


def test_other_reasons_are_told_as_they_are() -> None:
    assert reason_of("no such thing\nat all") == "refused: no such thing"
    assert reason_of("") == "refused without a reason"
    assert reasons_of("no such thing") == []


def test_several_reasons() -> None:
    assert set(reasons_of(OLD + LONG)) == {TOO_OLD, TOO_LONG}


def test_how_old_is_too_old_is_said_for_all_streams() -> None:
    assert set(bounds_of(OLD)) == {Bound(None, ns("2026-05-14T03:09:14Z"), TOO_OLD)}


def test_how_far_is_too_far_behind_is_said_for_one_stream() -> None:
    bound = Bound(("api", "a.b"), ns("2026-05-21T02:09:14Z"), TOO_FAR_BEHIND)
    assert bounds_of(BEHIND) == [bound]


@pytest.mark.parametrize("body", [NEW, LONG, "", "oldest acceptable timestamp is: yesterday"])
def test_no_bound_is_made_up(body: str) -> None:
    assert bounds_of(body) == []


def ns(ts: str) -> int:
    found = time_of(ts)
    assert found is not None
    return found


def test_all_in_order_in_batches_of_bounded_size() -> None:
    made = outgoing_records(400, 5000)
    found = list(batches(made, lambda _: False))
    assert [outgoing for batch in found for outgoing in batch] == made
    assert all(sum(len(p.record.line) for p in batch) <= BATCH_BYTES for batch in found)
    assert len(found) == 3


def test_batches_of_bounded_length() -> None:
    lengths = [len(batch) for batch in batches(outgoing_records(BATCH_LINES + 1), lambda _: False)]
    assert lengths[0] <= BATCH_LINES
    assert sum(lengths) == BATCH_LINES + 1


def test_a_record_that_is_longer_than_a_batch_is_one() -> None:
    made = outgoing_records(3, BATCH_BYTES)
    assert list(batches(made, lambda _: False)) == [[outgoing] for outgoing in made]


def test_some_go_alone() -> None:
    made = outgoing_records(7)
    found = batches(made, lambda outgoing: outgoing.record.seq in {1, 4, 5})
    assert [[p.record.seq for p in batch] for batch in found] == [[1], [2, 3], [4], [5], [6, 7]]


def test_whether_one_goes_alone_is_asked_again_when_what_is_before_it_is_sent() -> None:
    found: list[list[int]] = []

    def alone(outgoing: OutgoingRecord) -> bool:
        return outgoing.record.seq == 3 and not found

    for batch in batches(outgoing_records(4), alone):
        found.append([outgoing.record.seq for outgoing in batch])  # noqa: PERF401 - one by one
    assert found == [[1, 2], [3, 4]]


def test_a_record_knows_its_stream() -> None:
    (outgoing,) = outgoing_records(1)
    assert outgoing.stream == ("secrets-api", "secret.set")
    assert outgoing.placement.ts == outgoing.record.ts == BEGIN
