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
    Parcel,
    batches,
    bounds_of,
    reason_of,
    reasons_of,
)
from audit_emit._loki.expected import held
from audit_emit._loki.labels import shipped, time_of

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


def parcels(count: int, size: int = 0) -> list[Parcel]:
    made = []
    for line in MadeChain().add(count, fields={"pad": "x" * size}).lines:
        one, found = held(line), shipped(line)
        assert one is not None
        assert found is not None
        made.append(Parcel(one, found))
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
    made = parcels(400, 5000)
    found = list(batches(made, lambda _: False))
    assert [parcel for batch in found for parcel in batch] == made
    assert all(sum(len(p.held.line) for p in batch) <= BATCH_BYTES for batch in found)
    assert len(found) == 3


def test_batches_of_bounded_length() -> None:
    lengths = [len(batch) for batch in batches(parcels(BATCH_LINES + 1), lambda _: False)]
    assert lengths[0] <= BATCH_LINES
    assert sum(lengths) == BATCH_LINES + 1


def test_a_record_that_is_longer_than_a_batch_is_one() -> None:
    made = parcels(3, BATCH_BYTES)
    assert list(batches(made, lambda _: False)) == [[parcel] for parcel in made]


def test_some_go_alone() -> None:
    made = parcels(7)
    found = batches(made, lambda parcel: parcel.held.seq in {1, 4, 5})
    assert [[p.held.seq for p in batch] for batch in found] == [[1], [2, 3], [4], [5], [6, 7]]


def test_whether_one_goes_alone_is_asked_again_when_what_is_before_it_is_sent() -> None:
    found: list[list[int]] = []

    def alone(parcel: Parcel) -> bool:
        return parcel.held.seq == 3 and not found

    for batch in batches(parcels(4), alone):
        found.append([parcel.held.seq for parcel in batch])  # noqa: PERF401 - one by one
    assert found == [[1, 2], [3, 4]]


def test_a_record_knows_its_stream() -> None:
    (parcel,) = parcels(1)
    assert parcel.stream == ("secrets-api", "secret.set")
    assert parcel.shipped.ts == parcel.held.ts == BEGIN
