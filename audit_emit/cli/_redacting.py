"""Redaction as this environment has it, for what commands look at and for what they write."""

from __future__ import annotations

from audit_emit._facade.redaction import Redactor
from audit_emit._facade.settings import settings
from audit_emit._facade.text import visible
from audit_emit.cli._command import complain


def rules() -> Redactor:
    """The rules, with the settings of this environment.

    Raises:
        ConfigError: a setting cannot be used.
    """
    given = settings({})
    return Redactor(
        given.hash_key,
        given.secret_keys,
        given.safe_keys,
        given.redaction_rules,
        hide_access_key_ids=given.hide_access_key_ids,
        report=True,
    )


def recorded(text: str, what: str) -> str:
    """What somebody typed, as it may stand in the chain: with its secrets held back.

    A log writes records about itself as they are given, so what people add to them passes here.

    Args:
        what: the argument or option that it was given as, for the note on standard error.

    Raises:
        ConfigError: a setting cannot be used.
    """
    found = rules().scrub(text) if text else None
    if found is None or found == text:
        return text
    complain(f"{what} holds what looks like a secret; it is recorded as: {visible(found)}")
    return found
