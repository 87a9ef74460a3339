"""A verification as a process of its own, and its verdict in the words of the pages."""

from __future__ import annotations

from audit_emit._verify.findings import Kind
from audit_emit.console.verification import FAULTS


def test_every_kind_of_finding_is_one_kind_of_fault() -> None:
    named = [kind for kinds in FAULTS.values() for kind in kinds]
    assert sorted(named) == sorted(Kind)
