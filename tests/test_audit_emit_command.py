"""The entry point: what it needs, and what Ctrl-C does while it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support.verifier_comparison import MadeLog
from support.waiting import PATIENCE

import audit_emit_command
from audit_emit.cli._exit import Exit

ROOT = Path(__file__).parent.parent
ENTRY = "import sys; from audit_emit_command import main; sys.exit(main())"
"""As the script that pip makes."""
HEARS = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
"""A process started in the background of a shell may inherit that SIGINT is ignored."""

SLOW = """
import os, time
os.write({told}, b"loading")
time.sleep(60)
"""
"""In the place of a module that the package needs."""

ONLY_CORE = """
import sys
class Refusing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {extras!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refusing())
sys.argv[1:] = {arguments!r}
from audit_emit_command import main
sys.exit(main())
"""
EXTRAS = ("rich", "cryptography", "httpx", "fastapi", "flask", "uvicorn", "psycopg", "backports")


def test_the_command_is_the_module_outside_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["scripts"]["audit-emit"] == "audit_emit_command:main"
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert Path(audit_emit_command.__file__).name in wheel


def test_importing_it_loads_nothing_of_the_package() -> None:
    code = "import sys, audit_emit_command; assert 'audit_emit' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


@pytest.mark.parametrize("module", ["msgspec", "click"])
def test_ctrl_c_while_it_loads_leaves_no_traceback(module: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    (tmp_path / f"{module}.py").write_text(SLOW.format(told=writer))
    with subprocess.Popen(
        [sys.executable, "-c", f"{HEARS}; {ENTRY}", "--version"],
        stderr=subprocess.PIPE,
        pass_fds=[writer],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        text=True,
    ) as process:
        os.close(writer)
        assert os.read(reader, 7) == b"loading"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE)
    os.close(reader)
    assert (process.returncode, stderr) == (-signal.SIGINT, "")


def test_who_ignores_ctrl_c_goes_on_ignoring_it(tmp_path: Path) -> None:
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); import audit_emit_command"
    after = "assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN"
    command = (
        f"import sys; sys.argv[1:] = ['--version']; {code}; audit_emit_command.main(); {after}"
    )
    subprocess.run([sys.executable, "-c", command], check=True, timeout=PATIENCE, cwd=tmp_path)


def test_the_garbage_collector_works_for_a_command_but_not_on_what_was_loaded() -> None:
    program = (
        "import gc, sys, audit_emit_command as entry\n"
        "from audit_emit.cli import _group\n"
        "_group.run = lambda _: print(gc.isenabled(), gc.get_freeze_count() > 10_000)\n"
        "entry.main()"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout == "True True\n"


def test_the_package_is_a_program() -> None:
    command = [sys.executable, "-m", "audit_emit", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout.startswith("audit-emit, version ")


@pytest.mark.parametrize(
    "arguments",
    [
        *(["verify"], ["verify", "--json"], ["tail"], ["query"], ["query", "--format", "csv"]),
        *(["doctor"], ["repair"]),
    ],
)
def test_a_log_is_looked_at_with_the_core_alone(arguments: list[str], tmp_path: Path) -> None:
    made = MadeLog(tmp_path / "log")
    made.write(2, 40)
    program = ONLY_CORE.format(extras=EXTRAS, arguments=[*arguments, str(made.directory)])
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode in {Exit.OK, Exit.INCOMPLETE}, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout
