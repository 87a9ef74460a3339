"""What is left of a log, and of its processes, after a fork at the worst moment."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from pathlib import Path

import pytest
from faults import scenes_fork as scenes
from faults.child import finish, run, start
from faults.log import Log
from faults.prepared import STATES
from support.sampling import EVERY
from support.waiting import until

from audit_emit import Emitter

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

WHOLE = range(scenes.CHILDREN * scenes.EVENTS)


def test_a_child_forked_while_the_lock_is_held_emits_at_once(tmp_path: Path) -> None:
    found = run(scenes.lock_held, tmp_path)
    assert found["statuses"] == [0]
    # The other thread has both locks for as long as this takes, and for 20 seconds at most.
    assert found["took"] < 10
    assert sorted(Log(tmp_path).check().numbers) == [0, 1, 2, 3, 4]


def test_the_lock_of_a_parent_that_died_is_not_held_by_its_child(tmp_path: Path) -> None:
    assert run(scenes.holder_dies, tmp_path) == [-9]
    assert sorted(Log(tmp_path).check().numbers) in ([0, 2, 3], [0, 1, 2, 3])


def test_threads_that_emit_are_no_danger_to_a_fork(tmp_path: Path) -> None:
    assert run(scenes.busy_parent, tmp_path) == [0] * 8
    log = Log(tmp_path).check()
    assert sorted(log.numbers) == list(range(8 * scenes.EVENTS))
    hammered = [r["fields"]["h"] for r in log.of("fork.hammer")]
    assert len(set(hammered)) == len(hammered)
    for first in (0, 1_000_000):
        mine = sorted(h for h in hammered if first <= h < first + 1_000_000)
        assert mine == list(range(first, first + len(mine)))


def test_a_signal_handler_may_fork_in_the_middle_of_emit(tmp_path: Path) -> None:
    found = run(scenes.in_signal_handler, tmp_path, "")
    assert found["statuses"] == [0] * found["children"]
    numbers = Log(tmp_path).check().numbers
    assert sorted(n for n in numbers if n < 1_000_000) == list(range(found["events"]))
    assert len([n for n in numbers if n >= 1_000_000]) == found["children"]


@pytest.mark.parametrize("_again", range(5))  # the log is opened under other signals each time
def test_a_child_may_return_from_the_handler_that_made_it(_again: int, tmp_path: Path) -> None:
    found = run(scenes.in_signal_handler, tmp_path, "returning")
    assert found["statuses"] == [0] * found["children"]
    # What the child copied of an emit that had begun, it ends: both record it.
    numbers = Log(tmp_path).check(twice=True).numbers
    assert set(range(found["events"])) <= set(numbers)
    assert len([n for n in numbers if n >= 1_000_000]) == found["children"]


@pytest.mark.parametrize("state", STATES)
def test_a_child_may_return_from_a_handler_at_every_place(state: str, tmp_path: Path) -> None:
    found = finish(start(scenes.at_every_place, tmp_path, state), tmp_path, seconds=100)
    assert found["failed"] == []
    assert found["places"] > 40
    log = Log(tmp_path).check(twice=True)
    every = set(range(0, found["places"], EVERY))
    for event_type in ("fork.event", "fork.child"):
        assert {record["fields"].get("n") for record in log.of(event_type)} >= every
    assert {record["fields"]["n"] for record in log.of("fork.inner")} == {n for n in every if n % 2}


@pytest.mark.parametrize("durability", ["os", "group"])
def test_a_child_is_not_kept_by_a_thread_that_only_its_parent_began(
    durability: str, tmp_path: Path
) -> None:
    found = run(scenes.thread_begins, tmp_path, durability)
    # On a slow machine the thread may end meanwhile, and another one begin.
    assert found["flushed"]
    assert set(found["statuses"]) == {0}
    expected = {"os": [1], "group": [0, 1]}
    assert sorted(Log(tmp_path).check(twice=True).numbers) == expected[durability]


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_every_start_method_of_multiprocessing_works(method: str, tmp_path: Path) -> None:
    assert run(scenes.multiprocessed, tmp_path, method) == [0] * scenes.CHILDREN
    log = Log(tmp_path).check()
    assert sorted(log.numbers) == [*WHOLE, 1000]
    # Children of a fork are of the configuration that their parent has told.
    others = 0 if method == "fork" else scenes.CHILDREN
    assert len(log.of("audit.started")) == 1 + others


def test_what_waits_at_a_fork_is_written_once(tmp_path: Path) -> None:
    found = run(scenes.backlog_at_fork, tmp_path)
    assert found == {"parent": 5, "child": 0, "statuses": [0]}
    assert sorted(Log(tmp_path / "deep").check().numbers) == [0, 1, 2, 3, 4, 100, 101]


def test_workers_of_a_preloaded_master_share_one_chain(tmp_path: Path) -> None:
    assert run(scenes.preloaded, tmp_path) == [0] * scenes.CHILDREN
    log = Log(tmp_path).check()
    assert sorted(log.numbers) == [*WHOLE, 1000, 1001]
    assert len({record["chain"] for record in log.records}) == 1
    assert len({record["id"] for record in log.records}) == len(log.records)


def test_a_thread_may_fork(tmp_path: Path) -> None:
    assert run(scenes.thread_forks, tmp_path) == [0]
    assert sorted(Log(tmp_path).check().numbers) == [0, 1, 2, 3]


def test_a_daemon_that_closed_every_descriptor_goes_on(tmp_path: Path) -> None:
    run(scenes.daemonized, tmp_path)
    until((tmp_path / "done").exists)
    assert Log(tmp_path).check().numbers == [0, 1, 2, 3]
    assert (tmp_path / "application.txt").read_bytes() == b""


def test_a_subprocess_inherits_no_descriptor(tmp_path: Path) -> None:
    assert run(scenes.inherited_descriptors, tmp_path) == []


def test_generations_of_children_gather_no_descriptors(tmp_path: Path) -> None:
    run(scenes.generations, tmp_path)
    assert Log(tmp_path).check().numbers == list(range(30))
    assert int((tmp_path / "descriptors").read_text()) < 15


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_after_a_chroot_the_chain_goes_on_in_the_file_that_the_path_now_means(
    tmp_path: Path,
) -> None:
    run(scenes.chrooted, tmp_path)
    inside = tmp_path / "jail" / str(tmp_path).lstrip("/")
    assert Log(tmp_path).check().numbers == [0, 1]
    assert Log(inside).check().numbers == [2, 3]
    assert Log(inside).records[0]["prev_hash"] == Log(tmp_path).records[-1]["hash"]


def test_an_emitter_cannot_be_pickled_by_mistake(tmp_path: Path) -> None:
    emitter = Emitter(jsonl=tmp_path / "audit.jsonl", stdout=False)
    with pytest.raises(TypeError):
        pickle.dumps(emitter)


def test_a_fork_while_an_event_is_refused_uses_no_id_twice(tmp_path: Path) -> None:
    assert run(scenes.while_refused, tmp_path) == [0]
    assert Log(tmp_path).check().numbers == [0, 1, 1]
