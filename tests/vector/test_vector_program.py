"""The configurations in a real Vector, where the program ``vector`` is on the path."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import requirements
from support.loki_program import RealLoki
from support.vector_config import NAMES, load, text_of, with_everything_offered
from support.vrl_engine import VECTOR
from support.waiting import PATIENCE, until

from audit_emit import Emitter


@pytest.fixture(scope="module")
def vector() -> str:
    return requirements.program("vector")


def moved(config: dict[str, Any], directory: Path) -> dict[str, Any]:
    """A configuration that writes nothing outside of ``directory`` and listens nowhere."""
    data = directory / "data"
    data.mkdir(exist_ok=True)
    config["data_dir"] = str(data)
    del config["sources"]["vector"], config["sinks"]["metrics"]
    config["sinks"]["dead_letters"]["path"] = str(directory / "dead.jsonl")
    return config


def written(config: dict[str, Any], directory: Path) -> Path:
    path = directory / "vector.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("everything", [False, True])
def test_it_is_valid(vector: str, name: str, everything: bool, tmp_path: Path) -> None:
    text = text_of(name)
    config = load(with_everything_offered(text) if everything else text)
    if everything:
        # Secrets are looked up, and certificates read, before anything is started.
        (tmp_path / "password").write_text("a password\n", encoding="utf-8")
        config["secret"]["loki"]["path"] = str(tmp_path)
        for sink in ("loki", "dead_letters_loki"):
            del config["sinks"][sink]["tls"]
            config["sinks"][sink]["auth"]["password"] = "SECRET[loki.password]"
    path = written(moved(config, tmp_path), tmp_path)
    # The more thorough way asks for the cluster, or the Docker daemon, that the file reads from.
    how = "--skip-healthchecks" if name == "file" else "--no-environment"
    run(vector, "validate", how, path)


@pytest.mark.parametrize("name", NAMES)
def test_its_own_tests_hold(vector: str, name: str) -> None:
    run(vector, "test", VECTOR / f"{name}.yaml")


@contextmanager
def running(vector: str, path: Path) -> Iterator[None]:
    """Vector at work within the block; ended so that it remembers what it has delivered."""
    with (
        path.with_suffix(".log").open("wb") as log,
        subprocess.Popen([vector, "--config", path], stdout=log, stderr=log) as process,
    ):
        try:
            yield
        finally:
            os.kill(process.pid, signal.SIGTERM)
            process.wait(PATIENCE)


def lines_of(loki: RealLoki, count: int) -> list[str]:
    """What Loki holds once it is so many lines."""
    until(lambda: len(loki.lines('{job="audit"}')) >= count, f"{count} lines in Loki")
    return loki.lines('{job="audit"}')


@pytest.mark.loki
def test_a_log_goes_from_its_files_to_loki_whole_and_once(
    vector: str, loki: RealLoki, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    emitter = Emitter(service="shop", jsonl=logs / "audit.jsonl", stdout=False, max_bytes=65536)
    config = moved(load(text_of("file")), tmp_path)
    config["sources"]["audit_files"]["include"] = [
        str(logs / Path(one).name) for one in config["sources"]["audit_files"]["include"]
    ]
    for sink in ("loki", "dead_letters_loki"):
        config["sinks"][sink] |= {"endpoint": loki.url, "tenant_id": loki.tenant}
    path = written(config, tmp_path)

    def bodies() -> list[str]:
        files = [*sorted(logs.glob("audit-*.jsonl")), logs / "audit.jsonl"]
        return [
            text for file in files for text in file.read_text(encoding="utf-8").split("\n")[:-1]
        ]

    for start in (0, 1000):
        for n in range(start, start + 1000):
            emitter.emit(None, "item.set", {"n": n, "big": 2**70, "text": "Zoë \ud800 \u2028"})
        assert emitter.flush(PATIENCE)
        with running(vector, path):
            found = lines_of(loki, len(bodies()))
        assert sorted(found) == sorted(bodies())
    emitter.close()


@pytest.mark.loki
def test_a_torn_line_is_a_dead_letter_in_the_file_and_in_loki(
    vector: str, loki: RealLoki, tmp_path: Path
) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_bytes(b'{"ts":"2026-05-19T20:00:00.123456789Z","eve\n')
    config = moved(load(text_of("file")), tmp_path)
    config["sources"]["audit_files"]["include"] = [str(log)]
    for sink in ("loki", "dead_letters_loki"):
        config["sinks"][sink] |= {"endpoint": loki.url, "tenant_id": loki.tenant}
    with running(vector, written(config, tmp_path)):
        found = until(lambda: loki.lines('{job="audit-dlq"}'), "the dead letter")
    assert "audit: invalid JSON or UTF-8" in found[0]
    assert "audit: invalid JSON or UTF-8" in (tmp_path / "dead.jsonl").read_text(encoding="utf-8")
    assert loki.lines('{job="audit"}') == []
