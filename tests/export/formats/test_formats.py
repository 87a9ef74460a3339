"""The table of formats."""

from __future__ import annotations

import json
from importlib import import_module

import pytest
from support.export_records import HOSTILE

from audit_emit._export.formats import MODULES, chosen
from audit_emit._export.record import Record
from audit_emit._format.encode import to_json


@pytest.mark.parametrize("name", MODULES)
def test_every_format_is_a_module_with_a_docstring(name: str) -> None:
    assert import_module(f"audit_emit._export.formats.{name}").__doc__


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("odd", HOSTILE)
def test_every_format_takes_every_record_the_same_way_twice(name: str, odd: str) -> None:
    record = Record.of(HOSTILE[odd])
    assert record is not None
    first = chosen(name).event(record)
    assert first
    assert chosen(name).event(record) == first


@pytest.mark.parametrize("name", MODULES)
def test_nothing_that_a_terminal_would_obey_is_raw_in_an_event(name: str) -> None:
    fields = {"key": "a\u202eb\u0085c\u2028d\u2066e\x7ff é"}
    line = to_json({"ts": "2026-05-19T20:00:00.000000000Z", "event_type": "a.b", "fields": fields})
    record = Record.of(line.encode())
    assert record is not None
    event = chosen(name).event(record).decode()
    assert not set("\u202e\u0085\u2028\u2066\x7f") & set(event)
    assert name == "csv" or json.loads(event)


def test_a_format_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        chosen("xml")
