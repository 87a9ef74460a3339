from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.waiting import PATIENCE

from audit_emit import ConfigError, Event
from audit_emit._schemas.given import fingerprint, schemas

DOCUMENT: dict[str, Any] = {"type": "object", "required": ["key"]}


class SecretSet(Event, type="secret.set"):
    key: str


class Base(Event):
    key: str


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "schemas"
    made.mkdir()
    (made / "secret.read.json").write_text(json.dumps(DOCUMENT))
    (made / "secret.gone.schema.json").write_text(json.dumps(DOCUMENT))
    (made / "README.md").write_text("what these are")
    (made / ".hidden.json").write_text("no schema")
    return made


def test_classes_mappings_and_directories_are_taken_together(directory: Path) -> None:
    found = schemas("schemas", [SecretSet, {"a.b": DOCUMENT}, directory])
    assert found is not None
    assert sorted(found) == ["a.b", "secret.gone", "secret.read", "secret.set"]
    assert schemas("schemas", found) is found


@pytest.mark.parametrize(
    "given", [SecretSet, {"secret.set": SecretSet}, (SecretSet,), {"secret.set": DOCUMENT}]
)
def test_one_alone_will_do(given: Any) -> None:
    assert sorted(schemas("schemas", given) or ()) == ["secret.set"]


@pytest.mark.parametrize("given", [None, "", [], {}])
def test_nothing_is_none(given: Any) -> None:
    assert schemas("schemas", given) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (7, "must be event classes"),
        ([7], "holds int"),
        ([int], "holds int, which is no event class"),
        ([Base], "Base, which has no event type"),
        ({"Secret": SecretSet}, "no event type"),
        ({"audit.started": DOCUMENT}, "no event type"),
        ({7: DOCUMENT}, "no event type"),
        ({"secret.get": SecretSet}, "SecretSet is of type secret.set"),
        ({"a.b": "x"}, "str is no event class and no JSON Schema"),
        ({"a.b": {"type": "strang"}}, "the schema of a.b: is no JSON Schema"),
        ([SecretSet, {"secret.set": DOCUMENT}], "two schemas of secret.set"),
        ("/nowhere/at/all", "names a directory that cannot be read: no such file or directory"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_none_is_refused_with_what_is_wrong(given: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        schemas("AUDIT_EMIT_SCHEMAS", given)
    assert caught.value.setting == "AUDIT_EMIT_SCHEMAS"


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("a.b.json", lambda path: path.write_text("{"), "a.b.json is no JSON object"),
        ("a.b.json", lambda path: path.write_text("[]"), "a.b.json is no JSON object"),
        ("a.b.json", lambda path: path.write_text(" " * 1_100_000), "has more than 1048576 bytes"),
        ("a.b.json", os.mkfifo, "is no regular file"),
        ("a.b.json", Path.mkdir, "a.b.json cannot be read|is no regular file"),
        ("Secret.json", lambda path: path.write_text("{}"), "does not begin with an event type"),
    ],
)
def test_a_file_that_is_no_schema_is_named(
    directory: Path, name: str, make: Callable[[Path], object], said: str
) -> None:
    make(directory / name)
    with pytest.raises(ConfigError, match=said):
        schemas("schemas", directory)


def test_a_change_of_a_schema_changes_the_fingerprint() -> None:
    one = schemas("s", {"a.b": DOCUMENT})
    other = schemas("s", {"a.b": {**DOCUMENT, "title": "x"}})
    assert one
    assert other
    assert fingerprint(one) != fingerprint(other)
    assert len(fingerprint(one)) == 64


def test_without_the_package_the_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['jsonschema_rs'] = None\n"
        "import audit_emit\n"
        "class A(audit_emit.Event, type='a.a'): key: str\n"
        "audit_emit.configure(jsonl='off', schemas=[A])\n"
        "try: audit_emit.configure(jsonl='off', schemas={'a.b': {}})\n"
        "except audit_emit.ConfigError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert "pip install 'audit-emit[schemas]'" in done.stdout
