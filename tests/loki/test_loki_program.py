"""The real Loki that other tests ask: as the configuration says, and a tenant for each test."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from support import requirements
from support.chain_builder import Trail
from support.loki_program import CONFIG, RealLoki
from support.loki_supervisor import arguments
from support.waiting import PATIENCE

from audit_emit import Emitter

pytestmark = pytest.mark.loki


def test_the_configuration_is_accepted(tmp_path: Path) -> None:
    program = requirements.program("loki")
    command = [program, *arguments(CONFIG, tmp_path, [1, 2]), "-verify-config"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_record_comes_back_byte_for_byte(loki: RealLoki, emitter: Emitter, log: Path) -> None:
    emitter.emit(None, "secret.set", {"key": "ключ 🔑 </script>", "big": 2**70, "n": 1.10})
    lines = log.read_bytes().splitlines()
    loki.push(lines)
    assert [line.encode() for line in loki.lines('{job="audit"}')] == lines


def test_late_records_are_taken_in_any_order_and_found_at_once(loki: RealLoki) -> None:
    trail = Trail("tests")
    for days in (0, 390, 2, 30):
        trail.add("secret.set", days * 86_400 + 5400)
    loki.push(reversed(trail.lines))
    found = loki.lines('{job="audit"}', since="9400h")
    assert sorted(found) == sorted(line.decode() for line in trail.lines)


def test_an_answer_may_be_larger_than_4_mib(loki: RealLoki) -> None:
    trail = Trail("tests")
    for ago in range(100):
        trail.add("secret.set", ago, note="x" * 60_000)
    loki.push(trail.lines)
    assert len(loki.lines('{job="audit"}')) == 100


def test_tenants_do_not_see_each_other(loki: RealLoki) -> None:
    other = RealLoki(loki.url, loki.tenant + "-other", None)
    loki.push(["mine"], at=str(time.time_ns()))
    other.push(["other"], at=str(time.time_ns()))
    assert loki.lines('{job="audit"}') == ["mine"]
    other.close()
