"""Whatever the library emits goes through ``vector/audit.vrl`` byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import difficult_values
from support.five_records import LINES
from support.for_each import for_each
from support.piped_descriptor import Piped
from support.vrl_engine import shipped
from support.waiting import PATIENCE

from audit_emit import AuditContext, Emitter
from audit_emit._format.record import SERVICE, TYPE, TYPE_LIMIT


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emitter, Path]]:
    """An emitter for many events of one test, and its file."""
    path = tmp_path_factory.mktemp("lasting") / "audit.jsonl"
    made = Emitter(service="golden", jsonl=path, stdout=False, max_bytes=1 << 40)
    yield made, path
    made.close()


def golden(body: bytes) -> None:
    """A record goes out as it is, under its own labels and time, from both transports."""
    record = json.loads(body)
    for text in (body, b"audit: " + body, body + b"\r"):
        found = shipped(text)
        assert found.body == body
        assert found.labels == {name: record[name] for name in ("service", "event_type")}
        assert str(found.time).endswith(record["ts"][20:29])


@pytest.mark.parametrize("body", [one.rstrip(b"\n") for one in LINES])
def test_the_published_records_go_out(body: bytes) -> None:
    golden(body)


def test_the_records_about_the_log_itself_go_out() -> None:
    logs = Path(__file__).parents[1] / "vectors" / "logs"
    own = {
        body
        for path in [*logs.glob("good*/*.jsonl"), *logs.glob("*/audit*.jsonl")]
        for body in path.read_bytes().split(b"\n")
        if b'"event_type":"audit.' in body and body.endswith(b'"}')
    }
    for body in own:
        golden(body)
    types = {json.loads(body)["event_type"] for body in own}
    assert types >= {"audit.started", "audit.rotated", "audit.checkpoint", "audit.recovered"}


def test_every_reserved_type_is_a_label_of_its_own() -> None:
    text = (Path(__file__).parents[2] / "docs" / "wire-format.md").read_text(encoding="utf-8")
    types = set(re.findall(r"`(audit\.[a-z_]+)`", text)) - {"audit.jsonl"}
    assert {"audit.gap", "audit.key_rotated", "audit.invalid_event_type"} < types
    for event_type in types:
        body = LINES[0].rstrip(b"\n").replace(b"audit.started", event_type.encode())
        assert shipped(body).labels["event_type"] == event_type


@for_each("name, make", difficult_values.CASES)
def test_any_value_that_is_emitted_goes_out(
    name: str, make: Any, lasting: tuple[Emitter, Path]
) -> None:
    emitter, path = lasting
    before = path.stat().st_size if path.exists() else 0
    emitter.emit(AuditContext(user_id=name), "hostile.value", {"value": make(), "list": [make()]})
    assert emitter.flush(PATIENCE)
    with path.open("rb") as file:
        file.seek(before)
        bodies = file.read().split(b"\n")[:-1]
    assert bodies
    for body in bodies:
        golden(body)


def test_a_stub_of_stdout_and_its_record_go_out(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with Piped() as pipe, closing(Emitter(service="stubs", jsonl=path)) as emitter:
        emitter.emit(
            None, "big.event", {"a": "x" * 8000, **{f"k{n}": "y" * 6000 for n in range(9)}}
        )
        emitter.flush(10.0)
        lines = pipe.read().split(b"\n")[:-1]
    bodies = path.read_bytes().split(b"\n")[:-1]
    assert len(bodies[-1]) > 50_000
    golden(bodies[-1])
    stub = lines[-1].removeprefix(b"audit: ")
    assert json.loads(stub)["fields"]["_spilled"] == len(bodies[-1] + b"\n")
    golden(stub)


def test_an_event_that_never_reached_the_file_goes_out_unchained(tmp_path: Path) -> None:
    with Piped() as pipe, closing(Emitter(service="loose", jsonl="off")) as emitter:
        emitter.emit(None, "loose.event", {"a": 1})
        (text,) = [one for one in pipe.read().split(b"\n") if b"loose.event" in one]
    assert b'"hash"' not in text
    golden(text.removeprefix(b"audit: "))


def test_a_line_that_is_forged_in_a_value_stays_in_the_value(
    lasting: tuple[Emitter, Path],
) -> None:
    emitter, path = lasting
    forged = f"x\naudit: {LINES[0].decode()}\r\n"
    receipt = emitter.emit(AuditContext(user_id=forged), "forged.line", {forged: forged})
    assert receipt is not None
    assert emitter.flush(PATIENCE)
    body = path.read_bytes().split(b"\n")[-2]
    golden(body)
    assert json.loads(body)["seq"] == receipt.seq
    assert shipped(body).labels == {"service": "golden", "event_type": "forged.line"}


TEXTS = st.text(st.characters(), max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.one_of(st.sampled_from(["secret.set", "a", "Bad Type", "audit.mine"]), TEXTS),
    st.tuples(TEXTS, TEXTS, TEXTS, TEXTS),
    st.dictionaries(TEXTS, VALUES, max_size=4),
)
@settings(deadline=None, max_examples=150)
def test_whatever_is_emitted_comes_out_byte_for_byte_under_few_labels(
    lasting: tuple[Emitter, Path],
    event_type: str,
    ids: tuple[str, str, str, str],
    fields: dict[str, Any],
) -> None:
    emitter, path = lasting
    before = path.stat().st_size if path.exists() else 0
    emitter.emit(AuditContext(*ids), event_type, fields)
    assert emitter.flush(PATIENCE)
    with path.open("rb") as file:
        file.seek(before)
        bodies = file.read().split(b"\n")[:-1]
    assert bodies
    for body in bodies:
        golden(body)
        labels = shipped(body).labels
        assert SERVICE.fullmatch(labels["service"])
        assert len(labels["event_type"]) <= TYPE_LIMIT
        assert TYPE.fullmatch(labels["event_type"])
