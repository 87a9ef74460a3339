from __future__ import annotations

from pathlib import Path

import pytest

from audit_emit import Event
from audit_emit._declared.in_source import SourceCheck, check_source
from audit_emit._schemas.given import schemas
from audit_emit._schemas.schema import Schemas

EVENTS = """
from typing import ClassVar
import msgspec
import audit_emit
raise SystemExit("a check runs no code")
class About(audit_emit.Event):
    key: str
class SecretSet(About, type="secret.set"):
    kind: ClassVar[int] = 1
    scope: str = "global"
    from_: str = msgspec.field(name="from", default="")
class Unrelated(dict):
    key: str
"""


class Sold(Event, type="item.sold"):
    sku: str


def look(path: Path, code: str, given: Schemas | None = None) -> SourceCheck:
    (path / "events.py").write_text(EVENTS)
    (path / "app.py").write_text(f"import audit_emit\nfrom audit_emit import emit\n{code}\n")
    return check_source([str(path)], given or Schemas())


def mistakes(path: Path, code: str, given: Schemas | None = None) -> list[str]:
    found = look(path, code, given).mistakes
    assert {one.file for one in found} <= {f"{path}/app.py"}
    return [f"{one.line} {one.what} {one.name} {one.meant}".rstrip() for one in found]


@pytest.mark.parametrize(
    "call",
    [
        "emit(None, 'secret.set', {'key': 1, 'scope': 'x', 'from': 2, 'workspace_id': 'w'})",
        "audit_emit.emit({}, 'secret.set', fields={'key': 1})",
        "audit_emit.emit_strict(None, event_type='secret.set', fields=dict(key=1))",
        "emit(None, 'secret.set', fields)",
        "emit(None, 'secret.set', {**more})",
        "emit(None, 'audit.started', {})",
        "handler.emit(record)",
        "emit(*arguments)",
    ],
)
def test_what_is_declared_is_no_mistake(tmp_path: Path, call: str) -> None:
    assert mistakes(tmp_path, call) == []


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("emit(None, 'secret.sett', {})", ["3 undeclared  secret.set"]),
        ("emit(None, 'no.such')", ["3 undeclared"]),
        ("emit(None, 'secret.set', {'key': 1, 'scop': 2})", ["3 unknown scop scope"]),
        ("emit(None, 'secret.set', {'scop': 2, **more})", ["3 unknown scop scope"]),
        ("emit(None, 'secret.set')", ["3 missing key"]),
        ("emit(None, 'secret.set', None)", ["3 missing key"]),
        ("T = 'secret.set'\nemit(None, T, {})", ["4 missing key"]),
        ("emitter.emit(None, 'secret.set', {})", ["3 missing key"]),
        ("self.audit.emit_strict(None, 'secret.set', dict(key=1, x=2))", ["3 unknown x"]),
        (
            "from audit_emit.outbox import emit_in as put\nput(c, None, 'secret.set', {})",
            ["4 missing key"],
        ),
        (
            "@audit_emit.audited('secret.set', key=1)\ndef f(): pass",
            ["3 unknown outcome", "3 unknown duration_ms"],
        ),
    ],
)
def test_what_is_not_is_found_with_its_line(tmp_path: Path, call: str, found: list[str]) -> None:
    assert mistakes(tmp_path, call) == found


def test_schemas_count_beside_the_classes_of_the_program(tmp_path: Path) -> None:
    given = schemas("schemas", [Sold, {"open.ended": {"required": ["a"]}}])
    code = "emit(None, 'item.sold', {'skus': 1})\nemit(None, 'open.ended', {'any': 1})"
    assert mistakes(tmp_path, code, given) == [
        "3 unknown skus sku",
        "3 missing sku",
        "4 missing a",
    ]


def test_computed_types_are_told_and_not_compared(tmp_path: Path) -> None:
    found = look(tmp_path, "emit(None, f'secret.{verb}', {})\nemit(None, kind, {})")
    assert found.computed == [(f"{tmp_path}/app.py", 3), (f"{tmp_path}/app.py", 4)]
    assert (found.calls, found.mistakes, found.declared) == (2, [], 1)


def test_a_file_that_is_no_python_is_told_and_the_others_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text("print 'x'")
    (tmp_path / "deep.py").write_text("(" * 10_000)
    (tmp_path / "bytes.py").write_bytes(b"\x00\xff")
    found = look(tmp_path, "emit(None, 'no.such')")
    assert sorted(found.unread) == [f"{tmp_path}/{one}.py" for one in ("bytes", "deep", "old")]
    assert len(found.mistakes) == 1


def test_what_is_installed_or_hidden_is_not_the_program(tmp_path: Path) -> None:
    for place in (".venv", "node_modules", "pkg/site-packages"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "x.py").write_text("from audit_emit import emit\nemit(None, 'no.such')")
    assert mistakes(tmp_path, "") == []


def test_a_program_that_does_not_know_the_library_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "qt.py").write_text("signal.emit(None, 'no.such')")
    assert check_source([str(tmp_path)], Schemas()).files == 0


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check_source([str(tmp_path / "gone")], Schemas())
