"""``audit-emit redact``: the place and the rule of what would be held back, never the value."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from audit_emit.cli import main
from audit_emit.cli._exit import Exit

RULES = """
secret_keys = ["acme_pin"]
[[rule]]
id = "acme-token"
keywords = ["acme_"]
find = 'acme_[a-z0-9]{16}'
examples = ["acme_0123456789abcdef"]
"""


class Input(io.TextIOWrapper):
    """Standard input that holds a text."""

    def __init__(self, text: str) -> None:
        super().__init__(io.BytesIO(text.encode()))


@pytest.fixture(autouse=True)
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules.toml").write_text(RULES)
    monkeypatch.setenv("AUDIT_EMIT_REDACTION_FILE", str(tmp_path / "rules.toml"))


def shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, *options: str
) -> tuple[int, str]:
    monkeypatch.setattr("sys.stdin", Input(text))
    status = main(["redact", *options])
    return status, capsys.readouterr().out


def test_a_text_shows_line_and_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "first\ngot acme_0123456789abcdef and password=hunter2\n"
    status, out = shown(monkeypatch, capsys, text)
    assert status == Exit.FINDINGS
    assert out == "2:5-25  acme-token\n2:40-46  assignment\n"


def test_json_shows_paths(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = json.dumps({"a": [{"note": "acme_0123456789abcdef"}], "acme_pin": "1234567", "n": 1})
    status, out = shown(monkeypatch, capsys, text, "--format", "jsonl")
    assert status == Exit.FINDINGS
    assert [json.loads(line) for line in out.splitlines()] == [
        {"place": "a[0].note", "rule": "acme-token"},
        {"place": "acme_pin", "rule": "name"},
    ]


def test_what_is_in_two_pieces_of_the_input_is_shown_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "x" * 8185 + " acme_0123456789abcdef " + "x" * 9000
    assert shown(monkeypatch, capsys, text)[1] == "1:8187-8207  acme-token\n"


def test_nothing_to_hold_back_is_good(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(monkeypatch, capsys, '{"note": "all is well"}') == (Exit.OK, "")
