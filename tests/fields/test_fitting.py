"""The last limit: a record whose body is longer than an entry of tlog-tiles is never made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from audit_emit._checkpoints.entries import LONGEST as ENTRY
from audit_emit._core.record_builder import RecordBuilder
from audit_emit._fields.fitting import fitted
from audit_emit._format.chain import body_of
from audit_emit._format.encode import to_json
from audit_emit._format.record import MAX_SEQ, chain_line
from audit_emit._runtime.failure import Counters
from audit_emit._settings.settings import settings
from audit_emit.context import AuditContext

IDS = dict.fromkeys(("user_id", "workspace_id", "correlation_id"), "\x01" * 300)
TRACE = {"trace_id": "a" * 32, "span_id": "b" * 16}


def body_bytes(fields: Any, **given: Any) -> int:
    """The length of the body that these fields have where all other members are at their longest.

    Args:
        given: settings.
    """
    made = RecordBuilder(settings({"jsonl": "off", "service": "s" * 63, **given}, {}), Counters())
    context = AuditContext(actor_kind="k" * 32, **IDS, **TRACE)
    part, end = made.compose(context, "a." + "b" * 126, fields)
    prefix = f'{{"ts":"2026-05-19T20:00:00.000000000{part}{"i" * 36}{end}'
    line, _ = chain_line(prefix, "c" * 16, MAX_SEQ, "0" * 64)
    return len(body_of(line.encode()))


LONG: dict[str, Callable[[str], dict[str, Any]]] = {
    "texts": lambda character: {f"{n}": character * 4000 for n in range(256)},
    "names": lambda character: {character * 120 + str(n): character * 5000 for n in range(256)},
    "lists": lambda character: {character * 100: [[character * 5000] * 200] * 200},
    "held back": lambda character: {
        f"{character * 100}{n}": f'password="abc{character * 10}" password=zzzz' for n in range(256)
    },
}
"""Fields that are as long as the limits of each kind let them be."""


@pytest.mark.thorough
@pytest.mark.parametrize("character", ["\x01", "\u2028", "\ud800", "\N{GRINNING FACE}", '"'])
@pytest.mark.parametrize("kind", LONG)
@pytest.mark.parametrize("report", [False, True])
def test_no_record_is_longer_than_an_entry_of_tlog_tiles(
    kind: str, character: str, *, report: bool
) -> None:
    assert body_bytes(LONG[kind](character), redaction_report=report) <= ENTRY


def test_neither_is_one_that_a_processor_made_long() -> None:
    def longer(_logger: Any, _method: Any, event: dict[str, Any]) -> dict[str, Any]:
        return {**event, **LONG["names"]("\x01")}

    assert body_bytes(LONG["lists"]("\x01"), processors=[longer]) <= ENTRY


def test_the_report_of_the_rules_was_what_made_them_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit_emit._core.record_builder.LONGEST", 1 << 20)
    assert body_bytes(LONG["held back"]("\x01"), redaction_report=True) > ENTRY


def test_what_fits_is_left_alone() -> None:
    value = {"a": 1, "_cut": ["b"]}
    assert fitted(value) == (value, 0)


def test_what_is_told_is_cut_before_what_is_said() -> None:
    value = {"a": "x" * 50, "_redacted": ["p: rule"] * 10}
    made, count = fitted(value, 120)
    assert made["a"] == value["a"]
    assert made["_redacted"][-1] == "…"
    assert len(made["_redacted"]) < 10
    assert count == 1
    assert len(to_json(made).encode()) <= 120


def test_what_is_said_is_left_out_from_its_end_and_named() -> None:
    made, count = fitted({"a": "x" * 50, "b": "y" * 50, "c": "z" * 50}, 120)
    assert made == {"a": "x" * 50, "_cut": ["c", "b"]}
    assert count == 2
