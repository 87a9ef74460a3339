"""The table of formats."""

from __future__ import annotations

from importlib import import_module

import pytest
from support.export_records import HOSTILE

from audit_emit._export.formats import MODULES, chosen
from audit_emit._export.record import Record


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


def test_a_format_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        chosen("xml")
