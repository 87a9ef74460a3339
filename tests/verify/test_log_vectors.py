"""Whole logs, spoilt in one way each, that a verifier in any language can be tested with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.verifier_comparison import both

from audit_emit._format.record import ns_of

VECTORS = Path(__file__).parents[1] / "vectors"
EXPECTED: dict[str, Any] = json.loads((VECTORS / "logs.json").read_bytes())
KEY = bytes.fromhex(EXPECTED["key_hex"])
AS_OF = EXPECTED["as_of"]
SECOND = bytes.fromhex(EXPECTED["second_key_hex"])


def test_every_log_has_its_verdict() -> None:
    assert sorted(EXPECTED["cases"]) == sorted(path.name for path in (VECTORS / "logs").iterdir())


@pytest.mark.parametrize("name", sorted(EXPECTED["cases"]))
def test_the_verdict_is_the_expected_one(name: str) -> None:
    case = EXPECTED["cases"][name]
    more = [SECOND] if case.get("second_key") else []
    key = KEY if case["key"] else None
    report = both(VECTORS / "logs" / name, *more, key=key, as_of=ns_of(case.get("as_of", AS_OF)))
    found = [
        {"kind": f.kind, "file": f.file, "line": f.line, "offset": f.offset, "seq": f.seq}
        for f in report.findings
    ]
    assert found == case["findings"]
    assert report.exit_status == case["exit_status"]
