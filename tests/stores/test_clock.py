from __future__ import annotations

import os
import re
import threading
import time
import uuid

import pytest
from support.waiting import PATIENCE

from audit_emit._format.record import ns_of
from audit_emit._stores.clock import Clock

PART = 'Z","event_type":"a.b","id":"'
NOON = 1779220800_000_000_000


def ticking(*times: int) -> Clock:
    later = iter(times)
    return Clock(lambda: next(later))


def ts(prefix: str) -> str:
    return prefix[7:37]


def draw_id(clock: Clock) -> str:
    return clock.draft(PART, "").id


def test_a_draft_is_put_together_around_time_and_id() -> None:
    draft = ticking(NOON + 123456789).draft(PART, '","service":"s"')
    prefix, event_id = draft.prefix, draft.id
    assert prefix == f'{{"ts":"2026-05-19T20:00:00.123456789{PART}{event_id}","service":"s"'


def test_time_goes_on_across_milliseconds_and_seconds() -> None:
    times = [NOON, NOON + 1, NOON + 10**6, NOON + 10**9, NOON + 60 * 10**9 + 7]
    clock = ticking(*times)
    assert [ns_of(ts(clock.draft(PART, "").prefix)) for _ in times] == times


def test_a_clock_that_steps_back_is_told_as_it_is() -> None:
    times = [NOON, NOON - 3600 * 10**9, NOON + 5, NOON - 1]
    clock = ticking(*times)
    assert [ns_of(ts(clock.draft(PART, "").prefix)) for _ in times] == times


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (-1, "1970-01-01T00:00:00.000000000Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (987654321_123456789, "2001-04-19T04:25:21.123456789Z"),
    ],
)
def test_a_clock_that_is_wrong_still_gives_well_formed_times(now: int, expected: str) -> None:
    clock = ticking(NOON, now)
    clock.draft(PART, "")
    assert ts(clock.draft(PART, "").prefix) == expected


def test_ids_are_uuid7_of_the_time() -> None:
    clock = Clock()
    before = time.time_ns() // 10**6
    found = uuid.UUID(draw_id(clock))
    after = time.time_ns() // 10**6
    assert found.variant == uuid.RFC_4122
    assert found.version == 7
    assert before <= found.int >> 80 <= after


def test_ids_are_lower_case_text_of_36_characters() -> None:
    pattern = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    clock = Clock()
    for _ in range(100):
        assert re.fullmatch(pattern, draw_id(clock))


def test_ids_of_one_instant_are_unique_and_in_order() -> None:
    clock = Clock(lambda: NOON)
    ids = [draw_id(clock) for _ in range(5000)]
    assert sorted(set(ids)) == ids


def test_ids_of_threads_are_unique() -> None:
    clock = Clock()
    found: list[list[str]] = [[] for _ in range(8)]
    start = threading.Barrier(8)

    def fill(mine: list[str]) -> None:
        start.wait(PATIENCE)
        mine.extend(draw_id(clock) for _ in range(2000))

    threads = [threading.Thread(target=fill, args=(mine,)) for mine in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len({one for mine in found for one in mine}) == 8 * 2000


def test_two_clocks_of_one_instant_give_different_ids() -> None:
    clocks = [Clock(lambda: NOON) for _ in range(50)]
    assert len({draw_id(clock) for clock in clocks}) == 50


def test_reseeding_changes_the_ids() -> None:
    clock = Clock(lambda: NOON)
    ids = set()
    for _ in range(50):
        ids.add(draw_id(clock))
        clock.reseed()
    assert len(ids) == 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_reseeded_children_do_not_repeat_the_ids_of_their_parent() -> None:
    clock = Clock(lambda: NOON)
    clock.draft(PART, "")
    seen: list[str] = []
    for _ in range(4):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            clock.reseed()
            os.write(writer, "".join(draw_id(clock) for _ in range(20)).encode())
            os._exit(0)
        os.close(writer)
        os.waitpid(pid, 0)
        content = os.read(reader, 65536).decode()
        os.close(reader)
        seen += [content[at : at + 36] for at in range(0, len(content), 36)]
    seen += [draw_id(clock) for _ in range(20)]
    assert len(seen) == 100
    assert len(set(seen)) == 100


def test_a_draft_of_a_parent_gets_an_id_of_this_process() -> None:
    clock = Clock()
    draft = clock.draft(PART, '","service":"s"')
    clock.reseed()
    again = clock.again(draft)
    assert again.process is clock.process
    assert again.id != draft.id
    assert again.prefix == draft.prefix.replace(draft.id, again.id)
    assert uuid.UUID(again.id).version == 7
