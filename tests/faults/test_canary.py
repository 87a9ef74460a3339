"""A secret is looked for in every output, exceptions and stderr included."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from faults import scenes_canary as scenes
from faults.child import TESTS, environment, finish, start
from faults.log import Log
from support.waiting import PATIENCE

MARK = scenes.CANARY.encode()


def play(scene: object, tmp_path: Path, *arguments: str) -> list[tuple[str, bytes]]:
    """Everything that a scene put out, by where."""
    place = tmp_path / "place"
    place.mkdir()
    out, err = tmp_path / "stdout", tmp_path / "stderr"
    more = {
        "SECRETS_DB": str(tmp_path / "secrets.db"),
        "SECRETS_TOKEN_DEV": scenes.TOKEN,
        "PYTHONPATH": ":".join(
            str(p) for p in (TESTS, TESTS.parent, TESTS.parent / "integrations")
        ),
    }
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = start(scene, place, *arguments, stdout=stdout, stderr=stderr, env=more)  # type: ignore[arg-type]
        try:
            finish(process, place, seconds=60)
        except AssertionError as error:
            raise AssertionError(f"{error}: {err.read_text()[-2000:]}") from None
    files = [path for path in place.rglob("*") if path.is_file()]
    return [(path.name, path.read_bytes()) for path in (out, err, *files)]


def assert_no_canary(outputs: Iterable[tuple[str, bytes]]) -> None:
    leaks = []
    for name, data in outputs:
        at = data.find(MARK)
        while at >= 0:
            leaks.append(f"{name}: …{data[max(0, at - 120) : at + 40]!r}")
            at = data.find(MARK, at + 1)
    assert not leaks, f"{len(leaks)} leaks:\n" + "\n".join(leaks[:10])


def test_no_output_holds_a_secret(tmp_path: Path) -> None:
    outputs = play(scenes.everything, tmp_path)
    assert_no_canary(outputs)
    # It was looked for where there was something to find.
    stdout, stderr = outputs[0][1], outputs[1][1]
    assert stdout.count(b"audit: {") > 50
    assert b"ConfigError" in stderr
    assert b"AuditError" in stderr
    log = Log(tmp_path / "place" / "log").check()
    assert len([r for r in log.records if "[redacted]" in str(r["fields"])]) > 15
    keyed = Log(tmp_path / "place" / "keyed").check()
    assert len([r for r in keyed.records if "hmac-sha256:" in str(r["fields"])]) > 15
    implicit = Log(tmp_path / "place" / "system" / "app").check()
    assert "canary.implicit" in {record["event_type"] for record in implicit.records}


@pytest.mark.parametrize("framework", ["fastapi", "flask"])
def test_no_service_gives_a_secret_away(framework: str, tmp_path: Path) -> None:
    outputs = play(scenes.services, tmp_path, framework)
    assert_no_canary(outputs)
    log = Log(tmp_path / "place" / "log").check()
    assert {"secret.set", "secret.denied", "http.request"} <= {
        record["event_type"] for record in log.records
    }
    assert MARK in (tmp_path / "secrets.db").read_bytes(), "the secret never got to the service"


@pytest.mark.parametrize(
    "source", ["HASH_KEY", "HASH_KEY_FILE", "bad HASH_KEY", "bad HASH_KEY_FILE"]
)
@pytest.mark.parametrize("command", [["doctor"], ["doctor", "--json"], ["tail"], ["hash"]])
def test_no_command_shows_the_key(source: str, command: list[str], tmp_path: Path) -> None:
    key = scenes.canary(0) * 3
    value = key
    if source.startswith("bad"):
        value = scenes.CANARY if source == "bad HASH_KEY" else key
    elif source == "HASH_KEY_FILE":
        path = tmp_path / "key"
        path.write_text(key)
        path.chmod(0o600)
        value = str(path)
    env = environment(
        **{f"AUDIT_EMIT_{source.removeprefix('bad ')}": value},
        AUDIT_EMIT_SERVICE="canary",
        AUDIT_EMIT_JSONL=str(tmp_path / "audit.jsonl"),
        HOME=str(tmp_path),
    )
    code = "from audit_emit_command import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        env=env,
        input=scenes.canary(1).encode(),
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.stdout or done.stderr
    assert_no_canary([("stdout", done.stdout), ("stderr", done.stderr)])


def test_the_search_finds_what_it_looks_for() -> None:
    with pytest.raises(AssertionError, match="1 leaks"):
        assert_no_canary([("stdout", b"x" + MARK + b"y")])
