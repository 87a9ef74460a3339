"""The form of what is sealed: the published vectors, and where a ciphertext opens."""

from __future__ import annotations

import hashlib
import json

import pytest

from audit_emit._subjects.sealed import SubjectKey, is_pseudonym, pointer_to, reopen, sealed_in

KEY = SubjectKey(hashlib.sha256(b"published test key of subject u-18").digest())
ID = "019e41d3-28cb-7000-8000-000000000018"
EMAIL = (
    "aes256gcm:4c832a3ff400a59d:Z2uLuEznJn3VIN7KCVAISLfDpPpgEA_9XTyZUUCnEadcD26S0JT9ugj9x9MJT2Aq6w"
)
PHONE = "aes256gcm:4c832a3ff400a59d:BICpPS6bCUuJ4I4BD3PGiCT9MDpItVQDRdlFYHe7-eQPuOU2vBl2i3HV9m8"


def test_the_published_values_open() -> None:
    assert KEY.open(EMAIL, ID, "/email") == b'"someone@example.com"'
    assert KEY.open(PHONE, ID, "/phone") == b'"+49 30 1234567"'


def test_a_value_is_sealed_byte_for_byte_as_published() -> None:
    nonce = bytes.fromhex("676b8bb84ce7267dd520deca")
    assert KEY.seal(b'"someone@example.com"', ID, "/email", [nonce]) == EMAIL


def test_the_key_has_its_published_names() -> None:
    assert KEY.key_id == "4c832a3ff400a59d"
    assert KEY.pseudonym == "p-a47c5ac29c7aa249aacfa722"
    assert is_pseudonym(KEY.pseudonym)


@pytest.mark.parametrize(
    ("text", "record_id", "pointer"),
    [
        (EMAIL, ID, "/phone"),
        (EMAIL, ID.replace("18", "19"), "/email"),
        (EMAIL[:-1], ID, "/email"),
        (EMAIL.replace("4c83", "4c84"), ID, "/email"),
        ("aes256gcm:4c832a3ff400a59d:" + "A" * 38, ID, "/email"),
        ("a@example.com", ID, "/email"),
    ],
    ids=["another field", "another record", "cut", "another key", "made up", "no ciphertext"],
)
def test_a_ciphertext_opens_in_its_place_only(text: str, record_id: str, pointer: str) -> None:
    assert KEY.open(text, record_id, pointer) is None


def test_a_pointer_escapes_what_a_name_may_have() -> None:
    assert pointer_to("a/b~c", 0, "") == "/a~1b~0c/0/"


def test_sealed_values_are_found_wherever_they_are() -> None:
    fields = {"a": EMAIL, "b": [{"c": PHONE}, f"{EMAIL} "], "aes256gcm:": 1}
    assert sealed_in(fields) == [(("a",), EMAIL), (("b", 0, "c"), PHONE)]


def test_a_record_that_gets_another_id_opens_under_that() -> None:
    nonce = bytes(12)
    fields = {"n": 1, "x": [KEY.seal(b'"value"', "old", "/x/0", [nonce])]}
    text = f'{{"ts":"…","fields":{json.dumps(fields, separators=(",", ":"))},"v":1,"id":"'
    made = reopen(text, "old", "new", {KEY.key_id: KEY}.get)
    sealed = json.loads(made[made.index(',"fields":') + 10 : made.index(',"v":1')])["x"][0]
    assert KEY.open(sealed, "new", "/x/0") == b'"value"'
