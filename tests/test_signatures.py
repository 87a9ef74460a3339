"""What type checkers say of calls: each mistake is reported, and what is right is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import requirements
from support.waiting import PATIENCE

from audit_emit._settings.arguments import Arguments
from audit_emit._settings.checks import CHECKS
from audit_emit.context import FIELDS, Ids

RIGHT = """
from contextvars import copy_context
from pathlib import Path
from typing import Annotated, Literal

import audit_emit
from audit_emit import AuditContext, Emitter, Event, Field, Receipt, Rule, Settings

audit_emit.configure(service="a", jsonl=Path("a.jsonl"), stdout="stderr", durability="os")
audit_emit.configure(jsonl="off", max_bytes=1 << 20, secret_keys=["pin"], hash_key=b"k" * 16)
audit_emit.configure(signing_key="00" * 32, checkpoint=True, origin=None)
audit_emit.configure(processors=[lambda logger, name, event: event], redaction_rules=[])
audit_emit.configure(on_error=lambda error, stage, event_id: None)
Emitter(Settings(service="a"))
Emitter(service="a", stdout=False).emit(AuditContext(user_id=7), "a.b", {"n": 1})
audit_emit.emit(None, "a.b")
audit_emit.emit({"user_id": "u"}, "a.b", [1, 2])
audit_emit.emit(copy_context(), "a.b", fields={"n": 1})
audit_emit.emit_strict(audit_emit.current_context(), "a.b", None)
audit_emit.with_user_id(None, 7).replace(actor_kind="admin")
with audit_emit.bind(user_id=7, workspace_id="w", trace_id="0" * 32) as bound:
    print(bound.user_id)


class SecretSet(Event, type="secret.set"):
    key: Annotated[str, Field(personal=True)]
    scope: Literal["global", "workspace"] = "global"


class SecretGone(Event, type="secret.gone"):
    key: str


receipt: Receipt | None = SecretSet(key="A").emit()
print(SecretSet(key="A", scope="workspace").emit({"user_id": "u"}), SecretSet.json_schema())
audit_emit.configure(schemas=[SecretSet])
both = [SecretSet, SecretGone]
audit_emit.configure(schemas=both)
audit_emit.configure(schemas="schemas")
audit_emit.configure(schemas={"secret.set": SecretSet, "a.b": {"type": "object"}})
"""

WRONG = """
import audit_emit
from audit_emit import AuditContext, Emitter, Settings
from audit_emit.context import update_request

audit_emit.configure(servise="a")
audit_emit.configure(service=7)
audit_emit.configure(stdout="file")
audit_emit.configure(durability="sometimes")
audit_emit.configure(max_bytes="1 MiB")
audit_emit.configure(on_error="print")
audit_emit.configure(secret_keys=[1])
audit_emit.configure("a")
Emitter(servise="a")
Emitter("a")
Settings(servise="a")
audit_emit.emit("a.b", None)
audit_emit.emit("a.b", {"n": 1})
audit_emit.emit("a.b")
audit_emit.emit({"n": 1}, None, "a.b")
audit_emit.emit(None, {"n": 1}, "a.b")
audit_emit.emit("u-17", "a.b")
audit_emit.emit(None, "a.b", n=1)
audit_emit.emit_strict("a.b", {"n": 1})
audit_emit.emit_strict(None, {"n": 1}, "a.b")
Emitter().emit("a.b", {"n": 1})
Emitter().emit_strict({"n": 1}, None, "a.b")
audit_emit.bind(user="u")
audit_emit.bind({"user_id": "u"})
AuditContext(user="u")
AuditContext().replace(user="u")
update_request(user="u")
audit_emit.with_user_id("u", None)
SecretSet(kye="A")
SecretSet(key=7)
SecretSet("A")
SecretSet(scope="global")
SecretSet(key="A", scope="gobal")
SecretSet(key="A").emit("u-17")
SecretSet(key="A").emmit()
Field(personel=True)
audit_emit.configure(schemas=7)
audit_emit.configure(schemas=[int])
"""


def lines_of(text: str) -> set[int]:
    """The numbers of the lines with a statement that is no import."""
    numbered = enumerate(text.splitlines(), 1)
    return {n for n, line in numbered if line and "import" not in line}


def by_mypy(path: Path) -> set[int]:
    requirements.package("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--output=json"]
    done = subprocess.run(
        [*command, "--config-file=", f"--cache-dir={path.parent}/cache", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["file"] for one in found} <= {str(path)}, done.stdout + done.stderr
    return {one["line"] for one in found if one["severity"] == "error"}


def by_pyright(path: Path) -> set[int]:
    requirements.package("basedpyright")
    config = path.parent / "pyrightconfig.json"
    config.write_text(json.dumps({"typeCheckingMode": "standard", "include": [path.name]}))
    program = ["-m", "basedpyright", "--pythonpath", sys.executable, "--outputjson"]
    done = subprocess.run(
        [sys.executable, *program, "--project", str(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {one["range"]["start"]["line"] + 1 for one in found if one["severity"] == "error"}


CHECKERS = {"mypy": by_mypy, "pyright": by_pyright}


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_type_checker_reports_every_wrong_call_and_no_right_one(
    checker: str, tmp_path: Path
) -> None:
    path = tmp_path / "calls.py"
    path.write_text(RIGHT + WRONG)
    offset = len(RIGHT.splitlines())
    assert CHECKERS[checker](path) == {line + offset for line in lines_of(WRONG)}


def test_type_checkers_and_the_library_know_the_same_settings() -> None:
    assert set(Arguments.__annotations__) == set(CHECKS)


def test_type_checkers_and_the_library_know_the_same_members_of_a_context() -> None:
    assert tuple(Ids.__annotations__) == FIELDS
