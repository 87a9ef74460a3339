from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support.waiting import PATIENCE

from audit_emit import AuditContext, ConfigError, Emitter, Rule
from audit_emit._redaction.user_rules import redaction_file, redaction_rules
from audit_emit._settings.settings import settings

ACME = Rule("acme-token", ["acme_"], "acme_[a-z0-9]{16}", ["acme_0123456789abcdef"])
FILE = """
secret_keys = ["acme_pin"]
safe_keys = ["token_colour"]
[[rule]]
id = "acme-token"
keywords = ["acme_"]
find = 'acme_[a-z0-9]{16}'
examples = ["acme_0123456789abcdef"]
"""


def emitted(tmp_path: Path, fields: dict[str, Any], **settings: Any) -> Any:
    path = tmp_path / "audit.jsonl"
    emitter = Emitter(service="rules", jsonl=path, stdout=False, **settings)
    emitter.emit(None, "a.b", fields)
    assert emitter.close(PATIENCE)
    return json.loads(path.read_text().splitlines()[-1])["fields"]


def test_a_rule_of_ones_own_is_held_back(tmp_path: Path) -> None:
    fields = emitted(tmp_path, {"note": "got acme_0123456789abcdef"}, redaction_rules=[ACME])
    assert fields == {"note": "got [redacted]"}


def test_a_file_of_rules_and_names_counts_beside_what_is_given(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(FILE)
    fields = emitted(
        tmp_path,
        {"note": "acme_0123456789abcdef", "acme_pin": "12", "token_colour": "red", "mine": "2"},
        redaction_file=tmp_path / "rules.toml",
        secret_keys=["mine"],
    )
    assert fields == {
        "note": "[redacted]",
        "acme_pin": "[redacted]",
        "token_colour": "red",
        "mine": "[redacted]",
    }


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("acme", "must be a list"),
        (["acme"], "is no audit_emit.Rule"),
        ([ACME, ACME], "two rules 'acme-token'"),
        ([Rule("jwt", ["acme_"], "acme_x")], "or one that the library has"),
        ([Rule("x", ["acme_"], "(acme_+)+y")], "can take too long"),
        ([Rule("x", ["acme_"], "acme_[")], "the pattern is none"),
        ([Rule("x", ["acme_"], "acme_{4,9999999999}")], "the pattern is none"),
        ([Rule("x", ["acme_"], "acme_x", ["acme_y"])], "an example is not found"),
        ([Rule("x", ["acme_"], "acme_x", ["a"])], "no keyword is in an example"),
        ([Rule("x", ["acme_"], "acme_x", ["acme_x"], long_run=True)], "as word_start or long_run"),
        ([Rule("x", ["me_"], "me_x", ["acme_x"], word_start=True)], "as word_start or long_run"),
        ([Rule("x", ["acme_"], "acme_x", (), ["acme_x"])], "found in a non-example"),
        ([Rule("x", ["acme_"], lambda _: [])], "must be a regular expression"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_reason(rules: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        redaction_rules("redaction_rules", rules)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = [", "is no TOML"),
        ("rules = []", "has 'rules'"),
        ("rule = 1", r"\[\[rule\]\]"),
        ("[[rule]]\nid = 'x'", "lacks 'keywords'"),
        ("[[rule]]\nid = 'x'\nkeyword = 'a'", "has 'keyword'"),
        ("[[rule]]\nid = 'X'\nkeywords = ['ab']\nfind = 'ab'", "a rule's id"),
        ("[[rule]]\nid = 'x'\nkeywords = ['ab']\nfind = 'ab'\nlong_run = 'no'", "true or false"),
        ("secret_keys = 'a'", "must be a list of names"),
        ("secret_keys = ['a', 'exact:']", "holds an empty name"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_reason(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "rules.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        redaction_file("redaction_file", tmp_path / "rules.toml")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: no such file"):
        redaction_file("redaction_file", tmp_path / "none.toml")


def test_the_id_of_an_access_key_is_shown_unless_it_is_to_be_hidden(tmp_path: Path) -> None:
    fields = {"object": "AKIA" + "IOSFODNN7EXAMPLE"}
    assert emitted(tmp_path, fields) == fields
    (tmp_path / "audit.jsonl").unlink()
    assert emitted(tmp_path, fields, hide_access_key_ids=True) == {"object": "[redacted]"}


def test_a_record_says_which_rules_held_back_what_when_asked(tmp_path: Path) -> None:
    fields = {"note": "got acme_0123456789abcdef", "a": [{"pin": "1234"}], "n": 1}
    given = emitted(tmp_path, fields, redaction_rules=[ACME], redaction_report=True)
    assert given["_redacted"] == ["note: acme-token", "a[0].pin: name"]
    assert emitted(tmp_path, {"pin": "1234"}, redaction_report=True)["_redacted"] == ["pin: name"]


def test_a_file_of_rules_in_the_environment_that_cannot_be_used_withholds_all_fields(
    tmp_path: Path,
) -> None:
    told: list[ConfigError] = []
    environ = {"AUDIT_EMIT_REDACTION_FILE": str(tmp_path / "none.toml")}
    given = settings({"jsonl": str(tmp_path / "audit.jsonl")}, environ, on_error=told.append)
    emitter = Emitter(given)
    emitter.emit(None, "a.b", {"note": "acme_0123456789abcdef"})
    assert emitter.close(PATIENCE)
    assert [error.setting for error in told] == ["AUDIT_EMIT_REDACTION_FILE"]
    last = json.loads((tmp_path / "audit.jsonl").read_text().splitlines()[-1])
    assert last["fields"] == {"_withheld": "rules_are_missing"}


def test_the_ids_of_the_context_are_scrubbed_by_the_same_rules(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    emitter = Emitter(service="rules", jsonl=path, stdout=False, redaction_rules=[ACME])
    secret = "acme_0123456789abcdef"
    context = AuditContext(user_id=secret, workspace_id=secret, correlation_id=f"x {secret}")
    emitter.emit(context, "a.b", {})
    assert emitter.close(PATIENCE)
    assert secret not in path.read_text()


def test_a_secret_name_longer_than_the_stack_is_deep_counts_as_any_other(tmp_path: Path) -> None:
    name = "acme" * sys.getrecursionlimit()
    value = "w7" * 8
    fields = emitted(
        tmp_path,
        {"note": f"{name}_one={value}", "token": "held back"},
        secret_keys=[f"{name}_one", f"{name}_two"],
    )
    assert value not in json.dumps(fields)
    assert fields["token"] == "[redacted]"
