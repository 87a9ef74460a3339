from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from declared_events import EVENTS, Invitations, Invited, main
from support.program import PROGRAM
from support.waiting import PATIENCE

from audit_emit import configure
from audit_emit.cli import main as command
from audit_emit.cli._exit import Exit
from audit_emit.testing import Captured

HERE = Path(sys.modules["declared_events"].__file__ or "")


def test_what_it_does_is_recorded_as_declared(audit_events: Captured) -> None:
    configure(schemas=EVENTS)  # and audit_events fails this test for an event that does not fit
    invitations = Invitations()
    made = invitations.invite("kim@example.com", "admin")
    invitations.accept(made)
    audit_events.assert_emitted("user.invited", invitation=made, role="admin", days=7)
    audit_events.assert_emitted("user.joined", invitation=made, role="admin")
    with pytest.raises(KeyError):
        invitations.accept(made)
    audit_events.assert_emitted("user.join_refused", invitation=made)


def test_a_reason_that_was_not_given_is_left_out(audit_events: Captured) -> None:
    invitations = Invitations()
    invitations.withdraw(invitations.invite("kim@example.com"))
    (withdrawn,) = audit_events.of("user.invitation_withdrawn")
    assert list(withdrawn["fields"]) == ["invitation"]


def test_running_it_shows_the_mark(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert '"_schema": ["email: missing", "mail: unknown"]' in lines[-1]


def test_its_personal_data_is_named_in_the_schema() -> None:
    assert Invited.json_schema()["properties"]["email"]["x-audit-emit"]["personal"] is True


def test_its_source_has_one_call_that_is_not_declared_and_one_that_does_not_fit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(["schema", "check", "--source", str(HERE)]) == Exit.FINDINGS
    found = [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines()]
    assert found == [
        "user.join_refused is not declared (user.joined?)",
        "user.invited has no field mail (email?)",
        "user.invited needs the field email",
    ]


def test_a_page_is_made_of_it() -> None:
    done = subprocess.run(
        [*PROGRAM, "schema", "docs", "--module", "declared_events"],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
        cwd=HERE.parent,
    )
    assert "| `email` | `string` | required | Personal data." in done.stdout
