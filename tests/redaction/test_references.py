"""Values that say where a secret is stay visible; what only begins or looks like one does not."""

from __future__ import annotations

import pytest

from audit_emit._redaction.redactor import Redactor

REDACTOR = Redactor()
REST = "Kx93jd0s"
REFERENCES = ("?", "$Secret", "$(cat /run/db)")


@pytest.mark.parametrize("sign", list("|<)]\\;,&`'\""))
@pytest.mark.parametrize("reference", REFERENCES)
def test_a_secret_that_begins_like_a_reference_is_held_back(reference: str, sign: str) -> None:
    assert REST not in str(REDACTOR.scrub(f"password={reference}{sign}{REST}"))


@pytest.mark.parametrize("after", ["", ".", ", next", "; next", ") next", "` next", " | n"])
@pytest.mark.parametrize("reference", REFERENCES)
def test_a_reference_stays_with_what_ends_it(reference: str, after: str) -> None:
    assert REDACTOR.scrub(f"password={reference}{after}") is None


@pytest.mark.parametrize(
    "text",
    [
        f"PASSWORD=$(cat <<EOF\n{REST}\nEOF\n)",
        f"PASSWORD=$(cat <<< {REST})",
        f"Cookie: ${{COOKIE}}; theme={REST}",
        f"Authorization: my.token {REST}",
        f"passphrase: xxxx {REST}",
    ],
)
def test_a_secret_within_or_behind_a_reference_is_held_back(text: str) -> None:
    assert REST not in str(REDACTOR.scrub(text))


@pytest.mark.parametrize(
    "value",
    ["$Password_1", "vault:letmein", "op:" + "AbC-dEf_" * 3, "sm:a/" + "aB3" * 8, "this.is.mine"],
)
def test_a_password_in_the_form_of_a_reference_is_held_back(value: str) -> None:
    assert REDACTOR.scrub(f"password={value}") == "password=[redacted]"


@pytest.mark.parametrize(
    "value",
    [
        "$PASSWORD_1",
        "$password_1",
        "vault:db-key",
        "vault:kv/app#pw",
        "ssm:/prod/db",
        "sm:secret",
        "self.db_pass",
    ],
)
def test_the_place_of_a_secret_stays(value: str) -> None:
    assert REDACTOR.scrub(f"password={value}") is None


def test_a_token_in_the_place_of_a_user_is_held_back_whatever_password_is_beside_it() -> None:
    assert REDACTOR.scrub(f"https://{'aB3' * 8}:$PASSWORD@h/x") == "https://[redacted]@h/x"
    assert REDACTOR.scrub("https://bob:$PASSWORD@h/x") is None
