"""That one checkpoint continues another, also where the records of the older one are gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.prunable_log import RING, PrunableLog

from audit_emit._checkpoints.consistency import Consistency, prove_consistency
from audit_emit._readers.opening import open_reader


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PrunableLog:
    log = PrunableLog(tmp_path_factory.mktemp("made") / "log")
    log.prune(30)
    return log


@pytest.fixture
def log(made: PrunableLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PrunableLog:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return made.copy(tmp_path / "log")


def prove(log: PrunableLog, old: int, new: int) -> Consistency:
    with open_reader(str(log.path)) as reader:
        return prove_consistency(reader, old, new, RING)


@pytest.mark.parametrize(
    ("old", "new"), [(300, 600), (300, 900), (300, 1400), (600, 900), (900, 1400), (1400, 1400)]
)
def test_checkpoints_older_and_newer_than_a_removal_continue_each_other(
    log: PrunableLog, old: int, new: int
) -> None:
    assert prove(log, old, new).holds()


@pytest.mark.parametrize("row", ["0/004", "1/000.p/5"])
def test_tiles_that_are_wrong_are_made_again_where_that_is_possible(
    log: PrunableLog, row: str
) -> None:
    for tile in (log.path / "tile").glob(f"{row.partition('.')[0]}*"):
        shutil.rmtree(tile) if tile.is_dir() else tile.write_bytes(bytes(8192))
    assert prove(log, 300, 900).holds()


def test_without_tiles_only_what_is_left_is_proved(log: PrunableLog) -> None:
    shutil.rmtree(log.path / "tile")
    assert prove(log, 600, 1400).holds()
    with pytest.raises(LookupError):
        prove(log, 300, 1400)


def test_a_size_without_a_checkpoint_is_told(log: PrunableLog) -> None:
    with pytest.raises(ValueError, match="301"):
        prove(log, 301, 1400)


def test_another_proof_does_not_hold(log: PrunableLog) -> None:
    one, other = prove(log, 300, 1400), prove(log, 600, 1400)
    assert not one._replace(proof=other.proof).holds()
    assert not one._replace(old=other.old).holds()
