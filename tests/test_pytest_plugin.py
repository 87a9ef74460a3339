from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(tmp_path: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A pytest run of its own, as somebody has it who installed the package."""
    (tmp_path / "test_it.py").write_text(code)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environ |= {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "audit_emit.pytest_plugin", "-q"),
            *("--rootdir", str(tmp_path), "-p", "no:cacheprovider", "test_it.py", *arguments),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=tmp_path,
        env=environ,
    )


def test_the_fixture_captures_the_events_of_one_test(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "from audit_emit import emit\n"
        "def test_one(audit_events):\n"
        "    emit({'user_id': 'u1'}, 'secret.set', {'key': 'API'})\n"
        "    audit_events.assert_emitted('secret.set', key='API', user_id='u1')\n"
        "def test_two(audit_events):\n"
        "    assert audit_events.records == []\n",
    )
    assert "2 passed" in done.stdout
    assert not (tmp_path / "state").exists()


def test_what_was_emitted_is_in_the_report_of_a_failure(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "from audit_emit import emit\n"
        "def test_it(audit_events):\n"
        "    emit(None, 'secret.set', {'key': 'API'})\n"
        "    audit_events.assert_emitted('secret.delete')\n",
    )
    assert done.returncode == 1
    assert 'secret.set {"key": "API"}' in done.stdout


def test_the_plugin_itself_loads_nothing_more(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "import sys\n"
        "def test_it():\n"
        "    heavy = {'audit_emit.testing', 'structlog', 'pythonjsonlogger', 'unittest.mock'}\n"
        "    assert not heavy & set(sys.modules)\n"
        "    assert 'audit_emit.pytest_plugin' in sys.modules\n",
        "--assert=plain",
    )
    assert "1 passed" in done.stdout, done.stdout


def test_the_fixture_is_told_to_pytest_users(tmp_path: Path) -> None:
    done = run(tmp_path, "", "--fixtures")
    assert "audit_events" in done.stdout


def test_the_package_registers_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"audit_emit": "audit_emit.pytest_plugin"}
