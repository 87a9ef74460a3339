"""What is told by what stands around it: each way to write a secret down is one that is seen."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.for_each import for_each

from audit_emit._fields.normaliser import Normaliser
from audit_emit._redaction.finders.named_places import SecretNames
from audit_emit._redaction.grammar import GRAMMAR, Grammar
from audit_emit._redaction.redactor import Redactor, Secret
from audit_emit._runtime import compiled as _compiled

NORMALISER = Normaliser(Redactor())
WAYS = [NORMALISER]
if _compiled.state == "compiled":
    WAYS.append(Normaliser(Redactor(), compiled=_compiled.encoder))
SECRET = "Hunter2"
SECRETS = (f"{SECRET}-xyzzy", "w7Qn!zR4tyPb", "Tr0ub4dor-Kx9")
"""What stands for the § in a line of ``evasions.jsonl``."""
HERE = Path(__file__).parent
EVASIONS = [json.loads(line) for line in (HERE / "evasions.jsonl").read_text().splitlines()]
HARMLESS = [json.loads(line) for line in (HERE / "harmless.jsonl").read_text().splitlines()]
ABOUT_SECRETS = (
    "secret.read",
    "token.issued",
    "credential.created",
    "api_key.made",
    "password.set",
)
VALUE_NAMES = """
    data content payload val raw body text old new before after from to value old_value plaintext
""".split()


def shown(fields: object, event: str = "a.b") -> str:
    return json.dumps(NORMALISER.full(event, fields).value, ensure_ascii=False)


def _filled(value: Any, secret: str) -> Any:
    if isinstance(value, dict):
        return {_filled(name, secret): _filled(inner, secret) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, secret) for inner in value]
    return value.replace("§", secret) if isinstance(value, str) else value


@pytest.mark.thorough
@for_each("evasion", EVASIONS)
def test_a_secret_is_held_back_however_it_is_written_down(evasion: Any) -> None:
    for secret in SECRETS if "§" in json.dumps(evasion, ensure_ascii=False) else [SECRET]:
        filled = _filled(evasion, secret)
        fields = {"detail": filled} if isinstance(filled, str) else filled
        assert secret not in shown(fields)
        assert [way for way in WAYS if secret in (way.fast(fields, False) or "")] == []


def test_each_evasion_has_a_secret_in_it() -> None:
    texts = [json.dumps(evasion, ensure_ascii=False) for evasion in EVASIONS]
    assert [text for text in texts if "§" not in text and SECRET not in text] == []


@for_each("fields", HARMLESS)
def test_what_is_harmless_stays_as_it_is(fields: dict[str, Any]) -> None:
    assert json.loads(shown(fields)) == fields
    quick = [way.fast(fields, False) for way in WAYS]
    assert all(text is None or json.loads(text) == fields for text in quick)


SHORT = {
    'got {"password": 4711.5, "x": "a b"}': "4711",
    'got {"password": 4711e3, "x": "a b"}': "4711",
    'got {"pin": 0000, "x": "a b"}': "0000",
    'got {"rows": [["user", "pin"], ["bob", 0001]]}': "0001",
    'got {"token": {"id": 5, "name": "pw=Ab12"}}': "Ab12",
    f'{{{", ".join(f""" "n{n}": "pw=Xy{n:02}" """ for n in range(64))}'
    ', "token": {"id": 5}, "last": "pin:4711"}': "4711",
}
"""Secrets of some characters only within dicts that a text shows: numbers, texts, behind many."""


@for_each("case", list(SHORT))
def test_a_dict_in_a_text_shows_no_secret_for_being_short(case: str) -> None:
    assert SHORT[case] not in shown({"x": case})
    assert SHORT[case] not in str(Redactor().scrub(case))


OF_LETTERS = {
    'password = md5("mysecretpassword")': "mysecret",
    "password = local.correct.horse": "correct",
    "password: #{correcthorse}": "correct",
    "password: required|in:correcthorse": "correct",
    "login with password hunter2": "hunter2",
}
"""What has the form of code that names a secret, with words only a password has there."""


@for_each("case", list(OF_LETTERS))
def test_words_in_the_form_of_code_are_held_back_unless_they_name_a_secret(case: str) -> None:
    assert OF_LETTERS[case] not in shown({"x": case})


CODES = """
Your verification code is §.
your one-time code is §
OTP is §
the PIN was §
Ihr Passwort lautet: §
Use § as your one-time code
G-§ is your Google verification code
§ is your login code, valid for 10 minutes
""".strip().splitlines()


@for_each("text", CODES)
def test_a_code_of_digits_is_held_back_where_it_is_said_to_be_one(text: str) -> None:
    assert [
        code for code in ("483920", "4711") if code in shown({"x": text.replace("§", code)})
    ] == []


@pytest.mark.parametrize("event", ABOUT_SECRETS)
def test_in_an_event_about_a_secret_it_is_held_back_whatever_its_field_is_called(
    event: str,
) -> None:
    assert [name for name in VALUE_NAMES if SECRET in shown({name: SECRET + "-xyzzy"}, event)] == []
    printed = [{"x": repr({name: SECRET + "-xyzzy"})} for name in VALUE_NAMES]
    assert [fields for fields in printed if SECRET in shown(fields, event)] == []
    assert shown({"value": "blue"}, "colour.set") == '{"value": "blue"}'


@pytest.mark.parametrize("name", ["token", "secret", "signature"])
def test_the_sign_at_the_end_of_base64_is_none_between_a_name_and_a_value(name: str) -> None:
    assert "qwertzuiop" not in shown({"x": f"{name}: qwertzuiop=="})


def test_a_secret_by_its_type_is_one_in_the_other_fields_as_well() -> None:
    assert SECRET not in shown({"p": Secret("Hunter2-xyzzy"), "note": "u-17 typed Hunter2-xyzzy"})


def test_a_short_value_is_not_looked_for_in_other_fields() -> None:
    assert shown({"pin": "1234", "note": "order 12345"}) == (
        '{"pin": "[redacted]", "note": "order 12345"}'
    )


def test_a_thing_that_has_descriptions_is_shown_without_what_is_none() -> None:
    fields = {"token": {"id": "t-17", "scopes": ["a"], "value": "x", "raw": {"a": "x"}}}
    assert json.loads(shown(fields)) == {
        "token": {
            "id": "t-17",
            "scopes": ["a"],
            "value": "[redacted]",
            "raw": {"a": "[redacted]"},
        }
    }


@for_each("rule", GRAMMAR)
def test_each_example_of_a_rule_is_held_back_by_it(rule: Grammar) -> None:
    redactor = Redactor()
    for example in rule.examples:
        assert any(rule.spans(example, redactor.is_secret_key))
        assert redactor.scrub(example) is not None


@for_each("rule", [rule for rule in GRAMMAR if rule.needs or rule.placed])
def test_a_rule_finds_nothing_where_it_is_not_entered(rule: Grammar) -> None:
    redactor = Redactor()
    for evasion in EVASIONS:
        text = json.dumps(evasion, ensure_ascii=False).replace("§", SECRETS[0])
        for part in (text, *text.split(" ", 3), *text.splitlines()):
            names = SecretNames(redactor.is_secret_key)
            if rule.needs not in part or (rule.placed and not names.places(part)):
                assert not [*rule.spans(part, names)], part


@for_each("words", ["strong password", "correct horse battery staple", "this is my secret garden"])
def test_a_password_of_words_is_no_complaint(words: str) -> None:
    for value in (words, [words], ["is too short", words]):
        assert words not in shown({"password": value})


@for_each(
    "fields",
    [
        {"cvv": "123 is invalid"},
        {"cvv": "code 123 is incorrect"},
        {"pin": "12 34 is required"},
        {"token_exchange": "1990-01-02"},
        {"detail": "otp: sent 123456"},
    ],
)
def test_a_code_among_the_words_of_a_complaint_is_held_back(fields: dict[str, Any]) -> None:
    digits = re.search("[0-9].*[0-9]", next(iter(fields.values())))
    assert digits is not None
    assert digits.group() not in shown(fields)
