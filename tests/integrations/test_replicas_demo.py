"""``make demo-replicas``: two replicas behind a proxy, of which one is killed, and one chain."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import requirements
from support.postgres_server import own_directory, programs
from support.tiers import starts_a_server

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "integrations" / "replicas" / "demo.py"
LIMIT = 300


@starts_a_server
def run(**options: Any) -> subprocess.CompletedProcess[str]:
    """The demo, with few requests."""
    return subprocess.run(
        [sys.executable, str(DEMO), "--requests", "60"],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        **options,
    )


@pytest.fixture
def there() -> None:
    requirements.program("haproxy")
    if not programs():
        requirements.missing("postgres", "PostgreSQL is not installed")


@pytest.mark.timeout(LIMIT)
@pytest.mark.usefixtures("there")
def test_one_chain_holds_while_a_replica_is_killed() -> None:
    # What pytest makes is closed to the user that PostgreSQL runs as.
    place = own_directory("replicas")
    place.chmod(0o711)
    try:
        done = run(env={**os.environ, "TMPDIR": str(place)})
        assert done.returncode == 0, done.stdout + done.stderr
        assert "replica one was killed" in done.stdout
        assert "written by both replicas, verified: no fork, no hole" in done.stdout
        assert list(place.iterdir()) == []
    finally:
        shutil.rmtree(place)


@pytest.mark.timeout(LIMIT)
@pytest.mark.usefixtures("there")
def test_an_ordinary_user_may_run_it() -> None:
    if os.getuid() != 0:
        pytest.skip("these tests are run by an ordinary user already")
    nobody = pwd.getpwnam("nobody")
    user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": list[int]()}
    try:
        readable = subprocess.run([sys.executable, "-c", "import psycopg, uvicorn"], check=False,
                                  capture_output=True, cwd="/", **user).returncode == 0  # type: ignore[call-overload]  # fmt: skip
    except PermissionError:
        readable = False
    if not readable:
        pytest.skip("this tree is not readable for an ordinary user")
    done = run(cwd="/tmp", env={"PATH": os.defpath, "HOME": "/tmp"}, **user)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_says_how_to_get_what_is_missing(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(DEMO.parent)!r}); import demo; "
        "demo.programs = lambda: {'haproxy': '', 'initdb': '/x'}; demo.install = lambda: None; "
        "sys.exit(demo.main([]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "not found: haproxy; apt-get install" in done.stderr


def test_the_configuration_of_the_proxy_is_valid(tmp_path: Path) -> None:
    program = requirements.program("haproxy")
    addresses = dict.fromkeys(("REPLICA_1", "REPLICA_2", "ROUND_ROBIN", "STICKY"), "127.0.0.1:1")
    done = subprocess.run(
        [program, "-c", "-f", str(DEMO.parent / "haproxy.cfg")],
        capture_output=True,
        text=True,
        check=False,
        env=addresses,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
