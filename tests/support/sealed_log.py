"""A log with a sealed value, and the commands that read it with the keys."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from audit_emit import Emitter, Subject
from audit_emit._core import keyring
from audit_emit.cli import main


class Sealed:
    """One log, its keys in the environment of the commands.

    Args:
        path: of the active segment.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, command: str, *arguments: str) -> str:
        """What a command prints of the log, on standard output."""
        kept = io.BytesIO()
        said = io.TextIOWrapper(kept, write_through=True)
        with redirect_stdout(said), redirect_stderr(io.StringIO()):
            main([command, *arguments, str(self.path.parent)])
        return kept.getvalue().decode()


@pytest.fixture
def sealed_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sealed:
    """One record of u-17 with a sealed address."""
    monkeypatch.setattr(keyring, "KEY_SECONDS", 60.0)
    keys, path = tmp_path / "keys" / "subjects.keys", tmp_path / "log" / "audit.jsonl"
    monkeypatch.setenv("AUDIT_EMIT_SUBJECT_KEYS", str(keys))
    emitter = Emitter(jsonl=path, stdout=False)
    value = Subject("u-17", "someone@example.com")
    emitter.emit({"user_id": "u-17"}, "profile.updated", {"email": value})
    emitter.close()
    return Sealed(path)
