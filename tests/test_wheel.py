"""The built wheel with nothing but what it requires, away from the source tree."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.requirements import package

from audit_emit.cli.vector import FILES

ROOT = Path(__file__).parents[1]

USED = """
import audit_emit, sys
audit_emit.configure(service="shop", jsonl=sys.argv[1], stdout=False)
with audit_emit.bind(user_id="u-17"):
    audit_emit.emit(None, "secret.set", {"key": "A", "value": "not to be seen"})
audit_emit.flush()
assert "site-packages" not in audit_emit.__file__, audit_emit.__file__
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without the compiled part, which others than this interpreter could not load."""
    package("hatchling")
    place = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)],
        cwd=ROOT,
        env={**os.environ, "AUDIT_EMIT_SPEEDUPS": "0"},
        check=True,
        capture_output=True,
    )
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel and what it requires, and none of the other packages of this environment."""
    place = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(place)
    for name in required("audit-emit"):
        for file in distribution(name).files or ():
            top = Path(file.parts[0])
            source = Path(str(distribution(name).locate_file(top)))
            if top.name not in ("..", "__pycache__") and not (place / top).exists():
                (place / top).symlink_to(source)
    return place


def required(name: str) -> set[str]:
    """The distributions that one needs without any extra."""
    found: set[str] = set()
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found |= {requirement.name} | required(requirement.name)
    return found


def run(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """An interpreter that knows no other packages than those."""
    return subprocess.run(
        [sys.executable, "-S", *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "HOME": str(cwd)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_it_has_every_file_of_the_package(wheel: Path) -> None:
    package = ROOT / "audit_emit"
    wanted = {
        str(file.relative_to(ROOT))
        for file in package.rglob("*")
        if file.is_file()
        and not {"__pycache__", "_native"} & set(file.parts)
        and file.suffix != ".so"
    }
    assert wanted <= set(zipfile.ZipFile(wheel).namelist())


def test_it_carries_what_the_command_vector_writes(wheel: Path) -> None:
    wanted = {f"audit_emit/vector/{where}" for where, _ in FILES.values()}
    assert wanted <= set(zipfile.ZipFile(wheel).namelist())


def test_it_records_verifies_and_asks(installed: Path, tmp_path: Path) -> None:
    log = str(tmp_path / "audit.jsonl")
    made = run(installed, tmp_path, "-c", USED, log)
    assert (made.returncode, made.stderr) == (0, "")
    verified = run(installed, tmp_path, "-m", "audit_emit", "verify", log)
    assert verified.returncode == 0, verified.stderr
    asked = run(installed, tmp_path, "-m", "audit_emit", "query", log, "--actor", "u-17")
    assert asked.returncode == 0, asked.stderr
    assert "secret.set" in asked.stdout
    assert "not to be seen" not in asked.stdout + Path(log).read_text()


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["console", "audit.jsonl"], "console"),
        (["keygen", "--out", "key.pem"], "sign"),
        (["verify", "s3://bucket/prefix"], "s3"),
        (["verify", "postgresql://127.0.0.1/x"], "postgres"),
        (["query", "--loki", "http://127.0.0.1:9"], "loki"),
    ],
)
def test_what_needs_an_extra_names_it(
    arguments: list[str], extra: str, installed: Path, tmp_path: Path
) -> None:
    run(installed, tmp_path, "-c", USED, str(tmp_path / "audit.jsonl"))
    done = run(installed, tmp_path, "-m", "audit_emit", *arguments)
    assert done.returncode != 0
    assert f"audit-emit[{extra}]" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
