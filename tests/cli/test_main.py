"""The group of commands: exit status, help, and what happens without the extra."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import PATIENCE

from audit_emit._version import __version__
from audit_emit.cli import main
from audit_emit.cli._exit import Exit
from audit_emit.cli._group import COMMANDS

WITHOUT = """
import sys
for name in {missing!r}:
    sys.modules[name] = None
from audit_emit.cli import main
sys.exit(main({arguments!r}))
"""


def test_every_command_is_a_module_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        assert main([name, "--help"]) == Exit.OK
        assert f"audit-emit {name}" in capsys.readouterr().out


def test_every_module_of_a_command_is_listed() -> None:
    from audit_emit import cli

    directory = Path(cli.__file__).parent
    modules = {
        path.stem.replace("_", "-")
        for path in directory.glob("*.py")
        if not path.stem.startswith("_")
    }
    assert modules == set(COMMANDS)


def test_the_help_lists_the_commands_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == Exit.OK
    listed = re.findall(r"^  ([a-z][a-z-]*)  ", capsys.readouterr().out, re.MULTILINE)
    assert listed == sorted(COMMANDS)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == Exit.OK
    assert __version__ in capsys.readouterr().out


def test_a_slip_in_the_name_of_a_command_is_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verfy", "audit.jsonl"]) == Exit.USAGE
    assert "'verfy'. Did you mean verify?" in capsys.readouterr().err


def test_what_was_typed_is_repeated_without_what_a_terminal_obeys(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["redact", "\x1b]0;evil\x07\u202e"]) == Exit.USAGE
    assert "(␛]0;evil␇\\u202e)" in capsys.readouterr().err


def test_a_list_of_choices_is_shown_as_click_sets_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vector"]) == Exit.USAGE
    assert "Choose from:\n\tfile,\n" in capsys.readouterr().err


def test_a_file_without_a_name_is_named_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify-proof", ""]) == Exit.NOTHING
    assert "audit-emit: '': No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["no-such"], ["--no-such"], ["--", "--no-such"], []])
def test_a_wrong_command_line_is_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == Exit.USAGE
    assert "Traceback" not in capsys.readouterr().err


def run_without(missing: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    program = WITHOUT.format(missing=missing, arguments=arguments)
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("missing", "command", "extra"),
    [
        ("fastapi", "demo", "fastapi"),
        ("uvicorn", "demo", "fastapi"),
    ],
)
def test_a_missing_extra_is_named_in_one_line(missing: str, command: str, extra: str) -> None:
    result = run_without([missing], command)
    assert result.returncode == Exit.USAGE
    assert f"audit-emit[{extra}]" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_error_that_nobody_foresaw_is_one_sentence_and_no_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise ValueError("of postgresql://vera:" + "a-secret@db/logs\x1b")

    monkeypatch.setattr("audit_emit.cli.status.command.callback", fail)
    assert main(["status", "/nowhere"]) == Exit.INCOMPLETE
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "ValueError" in said
    assert "AUDIT_EMIT_DEBUG=1" in said
    assert "a-secret" not in said
    assert "\x1b" not in said
    monkeypatch.setenv("AUDIT_EMIT_DEBUG", "1")
    assert main(["status", "/nowhere"]) == Exit.INCOMPLETE
    assert ", in fail\n" in capsys.readouterr().err


def test_flask_is_named_when_it_is_asked_for() -> None:
    result = run_without(["flask"], "demo", "--flask")
    assert result.returncode == Exit.USAGE
    assert "audit-emit[flask]" in result.stderr


def test_importing_the_command_line_needs_no_extra() -> None:
    program = "import sys; import audit_emit.cli; assert 'click' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_only_what_is_used_is_imported() -> None:
    program = (
        "import sys; from audit_emit.cli import main; main(['tail', '--help']); "
        "assert 'rich' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("audit-emit verify-", "plain,verify-proof"),
        ("audit-emit tail --who-", "plain,--who-changed"),
        ("audit-emit tail au", "file,au"),
        ("audit-emit tail --format js", "plain,json"),
    ],
)
def test_a_shell_completes_commands_options_and_files(words: str, wanted: str) -> None:
    environment = {
        **os.environ,
        "_AUDIT_EMIT_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    command = [sys.executable, "-c", "import audit_emit_command as a; a.main()"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert wanted in done.stdout.split()


def test_the_help_says_how_a_shell_learns_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == Exit.OK
    assert "_AUDIT_EMIT_COMPLETE=bash_source audit-emit" in capsys.readouterr().out
