"""The map from controls to questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.chain_builder import BEGIN, MadeChain

from audit_emit._readers.memory import MemoryReader
from audit_emit._report.build import SECTIONS, Asked, report_on
from audit_emit._report.controls import LARGEST, USUAL, read_map
from audit_emit._report.period import DAY, Period

ENTRY = {"framework": "House rules", "control": "7", "question": "Who deleted what?"}


def written_map(directory: Path, *entries: dict[str, Any]) -> Path:
    path = directory / "controls.json"
    path.write_text(json.dumps(entries))
    return path


def test_the_usual_map_has_every_control_of_the_design() -> None:
    found = {(one.framework.split()[0], one.control) for one in read_map(USUAL, SECTIONS)}
    pci = "10.2.1.1 10.2.1.2 10.2.1.3 10.2.1.4 10.2.1.5 10.2.1.6 10.2.1.7 10.2.2 10.3.4 10.4.1.1 "
    wanted = {("PCI", one) for one in (pci + "10.5.1 10.7.2").split()}
    wanted |= {("ISO/IEC", "A.8.15"), ("ISO/IEC", "A.8.16"), ("HIPAA", "45 CFR 164.312(b)")}
    wanted |= {("SOC", "CC7.2")}
    wanted |= {("EU", f"Article {one}") for one in ("12(1)", "19(1)", "26(5)", "26(6)")}
    assert found == wanted


def test_a_map_of_ones_own_is_answered_with_figures(tmp_path: Path) -> None:
    chain = MadeChain().add(3, event_type="user.deleted", user_id="alice").add(2)
    evidence = [{"types": ["*.deleted"], "said": "deletions"}, {"fact": "integrity"}]
    path = written_map(tmp_path, {**ENTRY, "evidence": evidence, "sections": ["types"]})
    asked = Asked(("log",), Period(BEGIN, BEGIN + DAY), "a day", controls=read_map(path, SECTIONS))
    (control,) = report_on(MemoryReader(chain.lines), asked).controls
    (said, query), (holds, _) = control.evidence
    assert said == "3 records of 1 event type by 1 actor (deletions)."
    assert "--type '*.deleted'" in query
    assert holds.startswith("The log holds")


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({**ENTRY, "evidence": [{"fact": "weather"}]}, "7: there is no fact 'weather', only"),
        ({**ENTRY, "sections": ["weather"]}, "7: there is no section 'weather', only"),
        ({**ENTRY, "questions": 1}, "unknown field `questions`"),
        ({"control": "7"}, "missing required field `framework`"),
    ],
)
def test_what_is_no_map_is_refused_with_the_reason(
    entry: dict[str, Any], why: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=why):
        read_map(written_map(tmp_path, entry), SECTIONS)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "controls.json"
    path.write_bytes(b" " * (LARGEST + 1))
    with pytest.raises(ValueError, match="at most"):
        read_map(path, SECTIONS)
