from __future__ import annotations

import pytest

from audit_emit._redaction.own_names import OwnNames
from audit_emit._redaction.redactor import Redactor


@pytest.mark.parametrize(
    "name", ["email", "user_email", "userEmail", "emails", "E-Mail", "x.email"]
)
def test_a_plain_name_is_matched_as_the_built_in_ones_are(name: str) -> None:
    assert OwnNames(["email", "e-mail"]).holds(name)


@pytest.mark.parametrize("name", ["email_count", "emailed", "mail", "user"])
def test_it_is_not_in_a_name_about_something_else(name: str) -> None:
    assert not OwnNames(["email"]).holds(name)


def test_an_exact_name_is_that_name_alone_in_any_spelling() -> None:
    own = OwnNames(["exact:user_email"])
    assert [own.holds(name) for name in ("userEmail", "user-email", "user_emails", "email")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_pattern_is_that_of_a_shell() -> None:
    own = OwnNames(["acme_*"])
    assert own.holds("ACME-pin")
    assert not own.holds("pin_acme")


def test_a_name_that_is_safe_is_that_name_alone() -> None:
    redactor = Redactor(safe_keys=["token"])
    assert not redactor.is_secret_key("token")
    assert redactor.is_secret_key("access_token")


@pytest.mark.parametrize(
    "name", ["email", "emails", "exact:email", "e*l", "*"], ids=lambda name: name
)
def test_a_text_with_a_name_of_ones_own_is_looked_at(name: str) -> None:
    assert Redactor(secret_keys=[name]).scrub("email=x1y2") == "email=[redacted]"
