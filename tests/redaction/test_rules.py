"""Each rule is tried with its examples, on the way that an event takes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.for_each import for_each
from support.waiting import PATIENCE

from audit_emit import Emitter
from audit_emit._redaction.grammar import GRAMMAR
from audit_emit._redaction.redactor import Redactor
from audit_emit._redaction.rule import ALPHABETS, RUN, RUN_CHARACTERS, Rule
from audit_emit._redaction.rules import RULES

AROUND = {
    "alone": "{}",
    "in a sentence": "u-17 sent {} and left",
    "in JSON": '{{"note":"{}","n":1}}',
    "in a URL": "https://example.com/a?q={}&b=1",
    "in a list": "[{}, {}]",
    "behind an escape": "first\\n{}\\tlast",
    "in colours": "\x1b[31m{}\x1b[0m",
}
EXAMPLES = [(rule, example) for rule in RULES for example in rule.examples]


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor()


@for_each("rule", RULES)
def test_a_rule_holds_for_its_examples_and_takes_linear_time(rule: Rule) -> None:
    assert rule.examples
    rule.check()


def test_no_two_rules_have_one_id() -> None:
    ids = [*(rule.id for rule in RULES), *(rule.id for rule in GRAMMAR)]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND.keys())
def test_each_example_is_held_back_wherever_it_stands(redactor: Redactor, around: str) -> None:
    shown = []
    for rule, example in EXAMPLES:
        text = around.replace("{}", example) if around == "{}" else around.format(example, example)
        left = redactor.scrub(text)
        if left is None or example in left:
            shown.append(rule.id)
    assert shown == []


def test_each_example_is_held_back_in_the_first_event_and_in_the_second(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    emitter = Emitter(service="rules", jsonl=path, stdout=False)
    for _, example in EXAMPLES:
        for _ in range(2):
            emitter.emit(None, "a.b", {"detail": example, "changed": ["a", "b"], "n": 1})
    assert emitter.close(PATIENCE)
    text = path.read_text()
    assert [rule.id for rule, example in EXAMPLES if json.dumps(example)[1:-1] in text] == []


def test_no_non_example_is_altered(redactor: Redactor) -> None:
    for rule in RULES:
        for example in rule.non_examples:
            assert redactor.scrub(example) is None, rule.id


@for_each("rule", [rule for rule in RULES if rule.long_run and isinstance(rule.find, str)])
def test_what_is_repeated_in_a_rule_of_long_runs_does_not_end_one(rule: Rule) -> None:
    repeated = re.findall(r"(\[[^\]]+\])\{(?:\d+,)?(\d*)\}", str(rule.find))
    run = "".join(one for one, most in repeated if not most or int(most) >= RUN)
    others = [chr(code) for code in range(33, 127) if chr(code) not in RUN_CHARACTERS]
    assert [
        char for char in others for one in re.findall(r"\[[^\]]+\]", run) if re.match(one, char)
    ] == []


def prefixes() -> st.SearchStrategy[str]:
    first = st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    others = st.text(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.~", min_size=1
    )
    return st.tuples(first, others).map("".join).map(lambda text: text[:12])


@pytest.mark.thorough
@settings(max_examples=60, deadline=None)
@given(data=st.data(), prefix=prefixes(), length=st.integers(4, 60), word_start=st.booleans())
def test_a_rule_made_at_random_holds_in_the_first_event_and_in_the_second(
    tmp_path_factory: Any, data: st.DataObject, prefix: str, length: int, word_start: bool
) -> None:
    alphabet = ALPHABETS[data.draw(st.sampled_from(["alnum", "word", "hex", "upper"]))]
    rest = data.draw(st.from_regex(rf"\A[{alphabet}]{{{length}}}\Z"))
    secret = prefix + rest
    rule = Rule(
        "acme",
        [prefix],
        rf"{re.escape(prefix)}[{alphabet}]{{{length}}}",
        [secret],
        word_start=word_start,
    )
    path = tmp_path_factory.mktemp("rule") / "audit.jsonl"
    emitter = Emitter(service="rules", jsonl=path, stdout=False, redaction_rules=[rule])
    fields = (
        {"detail": secret},
        {"detail": f"u-17 sent {secret} today"},
        {"changed": ["a", secret, "b"], "n": 2},
        {"text": json.dumps({"a": [secret]})},
    )
    for value in fields:
        for _ in range(2):
            emitter.emit(None, "a.b", value)
    assert emitter.close(PATIENCE)
    assert secret not in path.read_text()
