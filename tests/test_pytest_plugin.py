from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support.waiting import PATIENCE

ROOT = Path(__file__).parents[1]


PLUGIN = "pytest_audit_emit"


def run(
    tmp_path: Path, code: str, *arguments: str, plugin: str = PLUGIN
) -> subprocess.CompletedProcess[str]:
    """A pytest run of its own, as somebody has it who installed the package."""
    (tmp_path / "test_it.py").write_text(code)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    if "default" in environ.get("AUDIT_EMIT_JSONL", ""):  # of the suite itself
        del environ["AUDIT_EMIT_JSONL"]
    environ |= {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path / "home"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", plugin, "-q"),
            *("--rootdir", str(tmp_path), "-p", "no:cacheprovider", "test_it.py", *arguments),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
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


def test_an_event_that_does_not_fit_its_schema_fails_the_test(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "from audit_emit import Event, configure, emit\n"
        "class SecretSet(Event, type='secret.set'):\n"
        "    key: str\n"
        "def test_right(audit_events):\n"
        "    configure(schemas=[SecretSet])\n"
        "    emit(None, 'secret.set', {'key': 'A'})\n"
        "def test_wrong(audit_events):\n"
        "    emit(None, 'secret.set', {'kye': 'A'})\n"
        "    configure(schemas=[SecretSet])\n"
        "    emit(None, 'secret.set', {'kye': 'A'})\n",
    )
    assert "2 passed, 1 error" in done.stdout
    assert "secret.set: key: missing, kye: unknown" in done.stdout


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


def test_the_plugin_loads_nothing_until_the_fixture_is_used(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "import sys\n"
        "def test_it():\n"
        "    ours = [name for name in sys.modules if name.partition('.')[0] == 'audit_emit']\n"
        "    assert ours == []\n"
        "    assert not {'msgspec', 'structlog', 'pythonjsonlogger'} & set(sys.modules)\n"
        "    assert 'pytest_audit_emit' in sys.modules\n"
        "def test_then(audit_events):\n"
        "    assert 'audit_emit.testing' in sys.modules\n",
        *("--assert=plain", "-p", "no:randomly"),
    )
    assert "2 passed" in done.stdout, done.stdout


def test_tests_without_the_fixture_write_to_no_real_log(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "import os, subprocess, sys\n"
        "from audit_emit import emit, health\n"
        "def test_it():\n"
        "    assert emit(None, 'a.b') is not None\n"
        "    path = health()['sinks']['jsonl']['path']\n"
        '    code = \'import audit_emit as a; print(a.health()["sinks"]["jsonl"]["path"])\'\n'
        "    there = subprocess.run([sys.executable, '-c', code], stdout=-1, text=True).stdout\n"
        "    assert there.strip() == path\n"
        "    print('LOG', path)\n",
        "-s",
    )
    assert "1 passed" in done.stdout, done.stdout
    (path,) = [line[4:] for line in done.stdout.splitlines() if line.startswith("LOG ")]
    assert "audit_emit-pytest-" in path
    assert not Path(path).parent.exists()
    assert not (tmp_path / "state").exists()
    assert not (tmp_path / "home").exists()


def test_a_log_that_the_environment_names_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_JSONL", str(tmp_path / "named" / "audit.jsonl"))
    code = "from audit_emit import emit\ndef test_it():\n    assert emit(None, 'a.b')\n"
    assert "1 passed" in run(tmp_path, code).stdout
    assert (tmp_path / "named" / "audit.jsonl").exists()


def test_the_package_may_be_imported_before_pytest(tmp_path: Path) -> None:
    """An installed package is marked for rewriting by name, which warns when it is loaded."""
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error", "-c"),
            (
                "import audit_emit\n"
                "from _pytest.assertion.rewrite import AssertionRewritingHook\n"
                "from _pytest.config import get_config\n"
                "AssertionRewritingHook(get_config()).mark_rewrite('audit_emit')\n"
            ),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_fixture_is_told_to_pytest_users(tmp_path: Path) -> None:
    done = run(tmp_path, "", "--fixtures")
    assert "audit_events" in done.stdout


def test_the_package_registers_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"audit_emit": PLUGIN}
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert f"{PLUGIN}.py" in wheel["targets"]["wheel"]["only-include"]
    assert f"{PLUGIN}.py" in wheel["targets"]["sdist"]["include"]
