"""What the README and the documents say is run, or compared with the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from audit_emit._config import PREFIX, SETTINGS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def run(code: str, where: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=where,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def faceless(line: str) -> str:
    """The line without what differs from run to run."""
    line = re.sub(r'"ts":"[^"]+"', '"ts":""', line.strip())
    return re.sub(r'"(id|chain|prev_hash|hash)":"[0-9a-f…-]+"', r'"\1":""', line)


def test_it_has_at_most_150_lines() -> None:
    assert len(README.splitlines()) <= 150


def test_the_ten_lines_print_what_they_are_said_to_print(tmp_path: Path) -> None:
    printed = run(blocks("python")[0], tmp_path).splitlines()
    assert [faceless(line) for line in printed[1:]] == [faceless(blocks("text")[0])]


def test_the_ten_lines_write_the_same_record_to_the_file(tmp_path: Path) -> None:
    printed = run(blocks("python")[0], tmp_path)
    kept = (tmp_path / "audit.jsonl").read_text(encoding="utf-8")
    assert "".join(f"audit: {line}\n" for line in kept.splitlines()) == printed


@pytest.mark.parametrize("number", range(1, len(blocks("python"))))
def test_every_other_block_runs(number: int, tmp_path: Path) -> None:
    run(blocks("python")[number], tmp_path)


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_every_variable_is_in_the_configuration_page() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(AUDIT_EMIT_[A-Z_]+)` \| `([a-z_]+)` \|", page, re.MULTILINE))
    assert rows == {PREFIX + setting.variable: name for name, setting in SETTINGS.items()}


def test_every_counter_is_in_the_operations_page() -> None:
    from audit_emit import Emitter

    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    counters = Emitter(disabled=True).health()["counters"]
    assert [name for name in counters if f"`{name}`" not in page] == []
